/*
 * modeld_calls.c: the calls of a connection. A call is in one list: open (by sequence number) until
 * its answer came, ended until the caller waited for it, idle until it is used again: in the steady
 * state nothing is allocated.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>

#include "clients/c/modeld_private.h"

static struct list *bucket(struct modeld *m, uint64_t seq)
{
	return &m->open[seq % CALL_BUCKETS];
}

static struct modeld_call *find(struct modeld *m, uint64_t seq)
{
	list_for_each (bucket(m, seq), node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		if (call->seq == seq)
			return call;
	}
	return NULL;
}

struct modeld_call *call_take(struct modeld *m)
{
	struct list *idle = list_first(&m->idle_calls);
	struct modeld_call *call;

	if (idle) {
		call = list_entry(idle, struct modeld_call, node);
		list_remove(&call->node);
		m->n_idle_calls--;
		return call;
	}
	call = calloc(1, sizeof(*call));
	if (!call)
		return NULL;
	list_init(&call->node);
	call->m = m;
	return call;
}

void call_free(struct modeld_call *call)
{
	list_remove(&call->node);
	grpc_call_free(call->grpc);
	free(call->packed);
	free(call->targets);
	if (call->result)
		result_drop(call->result);
	free(call);
}

void call_recycle(struct modeld_call *call)
{
	struct modeld *m = call->m;

	call->grpc = grpc_call_free(call->grpc);
	free(call->packed);
	call->packed = NULL;
	if (call->result)
		modeld_result_free(call->result);
	call->result = NULL;
	modeld_release(steal_ptr(call->room));
	m->n_abandoned -= call->abandoned;
	if (m->n_idle_calls == IDLE_MAX) {
		call_free(call);
		return;
	}
	call->abandoned = false;
	call->done = false;
	call->released = false;
	call->error.code = 0;
	list_remove(&call->node);
	list_push_front(&m->idle_calls, &call->node);
	m->n_idle_calls++;
}

void call_open(struct modeld_call *call)
{
	list_push_back(bucket(call->m, call->seq), &call->node);
}

void call_over(struct modeld_call *call)
{
	list_remove(&call->node);
	list_push_back(&call->m->ended, &call->node);
	call->done = true;
}

void call_abandon(struct modeld_call *call)
{
	call->abandoned = true;
	call->m->n_abandoned++;
}

void call_sweep(struct modeld *m)
{
	if (m->n_abandoned == 0)
		return;
	list_for_each (&m->ended, node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		if (call->abandoned)
			call_recycle(call);
	}
}

void call_all_over(struct modeld *m)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++) {
		list_for_each (&m->open[i], node) {
			struct modeld_call *call = list_entry(node, struct modeld_call, node);

			/* Those by gRPC have a connection of their own. */
			if (call->packed)
				continue;
			call->error = m->lost;
			call_over(call);
		}
	}
}

/* The region that came with an answer, if one did. */
static int take_room(struct modeld_call *call, const struct handoff_inferred *answer, int fd)
{
	if (answer->n_room == 0)
		return 0;
	return call->make_room ? region_take(&call->room, call->m, answer->room, fd) : -EPROTO;
}

int call_answer(struct modeld *m, const struct handoff_message *answer, int fd)
{
	struct modeld_call *call = find(m, answer->seq);
	bool has_room = answer->type == HANDOFF_INFERRED && answer->inferred.n_room > 0;
	int r;

	if ((fd >= 0) != has_room)
		return -EPROTO;
	if (!call)
		return 0;
	if (call->packed)
		return -EPROTO; /* it went by gRPC */
	if (answer->type == HANDOFF_ERROR) {
		(void)error_set(&call->error, (int)answer->error.code, "%s", answer->error.message);
		call_over(call);
		return 0;
	}
	/* Answers in part are never asked for. */
	if (answer->type != HANDOFF_INFERRED || answer->inferred.more)
		return -EPROTO;
	r = take_room(call, &answer->inferred, fd);
	if (!r && !call->abandoned)
		r = result_new(&call->result, call, &answer->inferred);
	if (r == -EPROTO)
		return r;
	if (r)
		(void)error_system(&call->error, r, "the result");
	call_over(call);
	return 0;
}
