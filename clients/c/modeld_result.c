/*
 * modeld_result.c: what a call brought. One block of memory holds the outputs' descriptions, their
 * inline data and their names; it is kept with the result for the next call. A result outlives its
 * connection.
 *
 * Client process, the caller's thread.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "clients/c/modeld_private.h"

#define ALIGN 16u

/* Room for n bytes of anything. */
static size_t room(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* One with `bytes` of memory; not in a list. */
static struct modeld_result *result_take(struct modeld *m, size_t bytes)
{
	struct list *idle = list_first(&m->idle_results);
	struct modeld_result *r = idle ? list_entry(idle, struct modeld_result, node) : NULL;
	uint8_t *memory;

	if (r) {
		list_remove(&r->node);
		m->n_idle_results--;
	} else {
		r = calloc(1, sizeof(*r));
		if (!r)
			return NULL;
		list_init(&r->node);
		r->m = m;
	}
	if (r->cap >= bytes)
		return r;
	memory = malloc(bytes);
	if (!memory) {
		result_drop(r);
		return NULL;
	}
	free(r->memory);
	r->memory = memory;
	r->cap = bytes;
	return r;
}

void result_drop(struct modeld_result *r)
{
	list_remove(&r->node);
	free(r->memory);
	free(r);
}

void modeld_result_free(struct modeld_result *r)
{
	struct modeld *m;

	if (!r)
		return;
	m = r->m;
	if (m)
		modeld_release(steal_ptr(r->room));
	/* What was large once need not be so again. */
	if (!m || m->n_idle_results == IDLE_MAX || r->cap > 2 * HANDOFF_MESSAGE_MAX) {
		result_drop(r);
		return;
	}
	list_remove(&r->node);
	list_push_front(&m->idle_results, &r->node);
	m->n_idle_results++;
}

/* The region of an output: that of the target which it fills, or the one that was made; NULL: in none. */
static struct modeld_region *find_region(
	const struct modeld_call *call, const struct handoff_tensor *t)
{
	for (size_t i = 0; i < call->n_targets; i++) {
		const struct use *u = &call->targets[i];

		if (u->region->number == t->region && u->offset == t->offset &&
			t->length <= u->bytes)
			return u->region;
	}
	if (call->room && call->room->number == t->region &&
		region_at(call->room, t->offset, t->length))
		return call->room;
	return NULL;
}

/* It is in its region, or came with the answer. */
static uint64_t bytes_of(const struct handoff_tensor *t)
{
	return t->region ? t->length : t->n_data;
}

static int check_output(const struct modeld_call *call, const struct handoff_tensor *t)
{
	const void *data = t->region ? NULL : t->data ? t->data : (const void *)"";

	if (t->region && !find_region(call, t))
		return -EPROTO;
	return tensor_check(t->dtype, t->dims, t->rank, bytes_of(t), data) < 0 ? -EPROTO : 0;
}

static int check_outputs(
	const struct modeld_call *call, const struct handoff_inferred *answer, size_t *ret_bytes)
{
	size_t bytes = room(answer->n_outputs * sizeof(struct modeld_tensor));

	for (size_t i = 0; i < answer->n_outputs; i++) {
		const struct handoff_tensor *t = &answer->outputs[i];

		int e = check_output(call, t);

		if (e)
			return e;
		bytes += room(strlen(t->name) + 1) + room(t->n_data);
	}
	*ret_bytes = bytes;
	return 0;
}

static void fill_output(const struct modeld_call *call, struct modeld_tensor *to,
	const struct handoff_tensor *from, uint8_t **at)
{
	assert(*at); /* an output has at least a name */
	*to = (struct modeld_tensor){
		.name = memcpy(*at, from->name, strlen(from->name) + 1),
		.type = (enum modeld_type)from->dtype,
		.rank = from->rank,
		.bytes = bytes_of(from),
	};
	*at += room(strlen(from->name) + 1);
	if (from->rank > 0)
		memcpy(to->dims, from->dims, from->rank * sizeof(to->dims[0]));
	if (from->region) {
		to->region = find_region(call, from);
		assert(to->region); /* check_outputs() */
		to->offset = from->offset;
		to->data = region_at(to->region, from->offset, from->length);
		return;
	}
	to->data = *at;
	if (from->n_data > 0)
		memcpy(*at, from->data, from->n_data);
	*at += room(from->n_data);
}

int result_new(struct modeld_result **ret_result, struct modeld_call *call,
	const struct handoff_inferred *answer)
{
	struct modeld_result *r;
	uint8_t *at;
	size_t bytes;
	int e;

	if (call->released)
		return 0;
	e = check_outputs(call, answer, &bytes);
	if (e)
		return e;
	r = result_take(call->m, bytes);
	if (!r)
		return -ENOMEM;
	r->n = answer->n_outputs;
	r->queue_ns = answer->queue_ns;
	r->compute_ns = answer->compute_ns;
	r->total_ns = answer->total_ns;
	r->outputs = (struct modeld_tensor *)(void *)r->memory;
	at = r->memory + room(r->n * sizeof(r->outputs[0]));
	for (size_t i = 0; i < r->n; i++)
		fill_output(call, &r->outputs[i], &answer->outputs[i], &at);
	r->room = steal_ptr(call->room);
	list_push_back(&call->m->results, &r->node);
	*ret_result = r;
	return 0;
}

struct modeld_region *modeld_result_region(struct modeld_result *r)
{
	return r->m ? steal_ptr(r->room) : NULL;
}

size_t modeld_result_n(const struct modeld_result *r)
{
	return r->n;
}

const struct modeld_tensor *modeld_result_output(const struct modeld_result *r, size_t i)
{
	return i < r->n ? &r->outputs[i] : NULL;
}

const struct modeld_tensor *modeld_result_find(const struct modeld_result *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!strcmp(r->outputs[i].name, name))
			return &r->outputs[i];
	}
	return NULL;
}

void modeld_result_times(const struct modeld_result *r, uint64_t *ret_queue_ns,
	uint64_t *ret_compute_ns, uint64_t *ret_total_ns)
{
	*ret_queue_ns = r->queue_ns;
	*ret_compute_ns = r->compute_ns;
	*ret_total_ns = r->total_ns;
}
