/*
 * modeld_call.c: inferences. A call is in one list of its connection: open (by sequence number) until
 * its answer came, ended until the caller waited for it, idle until it is used again: in the steady
 * state nothing is allocated.
 *
 * Client process, the caller's thread.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "clients/c/modeld_private.h"

static struct list *bucket(struct modeld *m, uint64_t seq)
{
	return &m->open[seq % CALL_BUCKETS];
}

struct modeld_call *call_find(struct modeld *m, uint64_t seq)
{
	list_for_each (bucket(m, seq), node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		if (call->seq == seq)
			return call;
	}
	return NULL;
}

static struct modeld_call *call_new(struct modeld *m)
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
	if (call->result)
		result_drop(call->result);
	free(call);
}

/* The caller is done with it: keep it for the next one. */
static void call_recycle(struct modeld_call *call)
{
	struct modeld *m = call->m;

	if (m->n_idle_calls == IDLE_MAX) {
		call_free(call);
		return;
	}
	call->grpc = grpc_call_free(call->grpc);
	free(call->packed);
	call->packed = NULL;
	if (call->result)
		modeld_result_free(call->result);
	call->result = NULL;
	call->done = false;
	call->released = false;
	call->error.code = 0;
	list_remove(&call->node);
	list_push_front(&m->idle_calls, &call->node);
	m->n_idle_calls++;
}

void call_over(struct modeld_call *call)
{
	list_remove(&call->node);
	list_push_back(&call->m->ended, &call->node);
	call->done = true;
}

void call_all_over(struct modeld *m, const struct modeld_error *error)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++) {
		list_for_each (&m->open[i], node) {
			struct modeld_call *call = list_entry(node, struct modeld_call, node);

			/* Those by gRPC have a connection of their own. */
			if (call->grpc)
				continue;
			call->error = *error;
			call_over(call);
		}
	}
}

static void forget_region(struct list *calls, const struct modeld_region *region)
{
	list_for_each (calls, node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		for (size_t t = 0; t < call->n_targets; t++)
			call->released |= call->targets[t].region == region;
	}
}

void call_forget_region(struct modeld *m, const struct modeld_region *region)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++)
		forget_region(&m->open[i], region);
	forget_region(&m->ended, region);
}

int call_answer(struct modeld_call *call, const struct handoff_answer *answer)
{
	int r;

	if (answer->type == HANDOFF_ERROR) {
		(void)error_set(&call->error, (int)answer->error.code, "%s", answer->error.message);
		call_over(call);
		return 0;
	}
	if (answer->type != HANDOFF_INFERRED)
		return -EPROTO;
	r = result_new(&call->result, call, &answer->inferred);
	if (r == -EPROTO)
		return r;
	if (r)
		(void)error_system(&call->error, r, "the result");
	call_over(call);
	return 0;
}

/* --- Sending ---------------------------------------------------------------------------------- */

static void take_targets(struct modeld_call *call, const struct modeld_request *request)
{
	call->n_targets = request->n_targets;
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct modeld_target *t = &request->targets[i];

		call->targets[i] =
			(struct use){.region = t->region, .offset = t->offset, .bytes = t->bytes};
	}
}

static int handoff_submit(
	struct modeld_call *call, const struct modeld_request *request, struct modeld_error *error)
{
	struct handoff_tensor inputs[HANDOFF_TENSORS_MAX];
	struct handoff_target targets[HANDOFF_TENSORS_MAX];
	const struct handoff_request q = {
		.seq = call->seq,
		.type = HANDOFF_INFER,
		.infer = {.model = request->model,
			.inputs = inputs,
			.n_inputs = request->n_inputs,
			.targets = targets,
			.n_targets = request->n_targets,
			.timeout_us = request->timeout_us},
	};

	for (size_t i = 0; i < request->n_inputs; i++) {
		const struct modeld_tensor *t = &request->inputs[i];

		inputs[i] = (struct handoff_tensor){.name = t->name,
			.dtype = (enum dtype)t->type,
			.rank = t->rank,
			.dims = t->dims,
			.region = t->region->number,
			.offset = t->offset,
			.length = t->bytes};
	}
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct modeld_target *t = &request->targets[i];

		targets[i] = (struct handoff_target){.name = t->name,
			.region = t->region->number,
			.offset = t->offset,
			.length = t->bytes};
	}
	return link_send(call->m, &q, -1, clock_add(clock_ns(), call->m->timeout_ns), error);
}

int modeld_submit(struct modeld *m, const struct modeld_request *request,
	struct modeld_call **ret_call, struct modeld_error *error)
{
	struct modeld_call *call;
	int e = check_request(m, request, error);

	if (e)
		return e;
	call = call_new(m);
	if (!call)
		return error_system(error, -ENOMEM, "a call");
	call->seq = m->next_seq++;
	take_targets(call, request);
	e = m->grpc ? grpc_submit(call, request, error) : handoff_submit(call, request, error);
	if (e) {
		call_recycle(call);
		return e;
	}
	list_push_back(bucket(m, call->seq), &call->node);
	*ret_call = call;
	return 0;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

int modeld_wait(struct modeld_call *call, uint64_t timeout_us, struct modeld_result **ret_result,
	struct modeld_error *error)
{
	struct modeld *m = call->m;
	uint64_t timeout_ns, deadline_ns = CLOCK_NO_DEADLINE;
	int r;

	if (!__builtin_mul_overflow(timeout_us, NS_PER_US, &timeout_ns))
		deadline_ns = timeout_ns ? clock_add(clock_ns(), timeout_ns) : 0;
	r = m->grpc ? grpc_wait(call, deadline_ns) : link_wait(m, &call->done, deadline_ns);
	if (r)
		return error_system(error, r, "no answer yet");
	if (call->released && !call->error.code)
		(void)error_set(&call->error, MODELD_E_USAGE,
			"the region of an output was released before the call was waited for");
	r = call->error.code;
	if (r)
		*error = call->error;
	else
		*ret_result = steal_ptr(call->result);
	call_recycle(call);
	return r;
}

int modeld_infer(struct modeld *m, const struct modeld_request *request,
	struct modeld_result **ret_result, struct modeld_error *error)
{
	struct modeld_call *call = NULL;
	int e = modeld_submit(m, request, &call, error);

	if (e)
		return e;
	assert(call);
	return modeld_wait(call, UINT64_MAX, ret_result, error);
}

/* Whichever comes first says that the daemon has done with it: the answer to Cancel, or the call's. */
static void handoff_cancel(struct modeld_call *call)
{
	struct modeld *m = call->m;
	struct control control = {.seq = m->next_seq++, .done = &call->done, .fd = -1};
	const struct handoff_request q = {
		.seq = control.seq, .type = HANDOFF_CANCEL, .cancel_of = call->seq};
	struct modeld_error error;

	if (!link_send(m, &q, -1, clock_add(clock_ns(), m->timeout_ns), &error))
		m->control = &control;
	(void)(link_wait(m, &call->done, CLOCK_NO_DEADLINE) == 0);
	m->control = NULL;
	close_fd(&control.fd);
}

void modeld_cancel(struct modeld_call *call)
{
	if (!call)
		return;
	if (call->m->grpc)
		(void)(grpc_wait(call, CLOCK_NO_DEADLINE) == 0);
	else if (!call->done)
		handoff_cancel(call);
	call_recycle(call);
}
