/*
 * inference_answer.c: what a model gave, for the client: at its targets, in the answer itself, or, where
 * there is no room in either, in a region that is made for it (`overflow`): the outputs stay in the
 * worker's memory until they were copied into it, by a thread, and the answer waits for that. The
 * region is the client's from then on, and charged to its user from the start.
 *
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

/* Where outputs begin in a region that is made for them. */
#define OVERFLOW_ALIGN 64u
/* Outputs that an error tells of: so many fit a record. */
#define TOLD_MAX 256u

/* An answer that waits, and what it borrows. */
struct overflow {
	struct handoff_inferred inferred;
	char worker[64];
	struct handoff_tensor *outputs; /* behind this struct, as are their dimensions */
	int64_t (*dims)[TENSOR_RANK_MAX];
};

struct overflow *overflow_free(struct overflow *o)
{
	free(o);
	return NULL;
}

static const char *model_name(const struct inference *i)
{
	return version_settings(i->model)->name;
}

/* --- Outputs ---------------------------------------------------------------------------------- */

/* Of those that are at no target. */
static uint64_t bytes_without_place(const struct request_result *result)
{
	uint64_t n = 0;

	for (size_t k = 0; k < result->n_outputs; k++) {
		if (!request_result_target(result, &result->outputs[k]))
			n += result->outputs[k].length;
	}
	return n;
}

/* Without its place. */
static struct handoff_tensor describe(const struct inference *i, const struct pool_output *o)
{
	return (struct handoff_tensor){
		.name = version_declared(i->model)->outputs[o->index].name,
		.dtype = o->dtype,
		.dims = o->dims,
		.rank = o->rank,
		.length = o->length,
	};
}

/* Where it is at a target: that. */
static bool fill_place(
	const struct request_result *result, const struct pool_output *o, struct handoff_tensor *t)
{
	const struct request_target *target = request_result_target(result, o);

	if (!target)
		return false;
	t->region = ((const struct entry *)region_data(target->region))->number;
	t->offset = target->offset;
	return true;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static struct handoff_inferred inferred_of(
	const struct request_result *result, const struct handoff_tensor *outputs)
{
	const struct request_times *t = &result->times;

	return (struct handoff_inferred){
		.outputs = outputs,
		.n_outputs = result->n_outputs,
		.queue_ns = since(t->submitted_ns, t->dispatched_ns),
		.compute_ns = t->compute_ns,
		.total_ns = since(t->received_ns, t->done_ns),
		.batch_requests = result->batch_requests,
		.worker = result->worker,
	};
}

static void send_answer(struct inference *i, const struct handoff_inferred *inferred, int fd)
{
	struct handoff *h = i->guest->handoff;

	for (size_t k = 0; k < inferred->n_outputs; k++) {
		if (inferred->outputs[k].region)
			i->handed_bytes += inferred->outputs[k].length;
	}
	guest_answer(i->guest,
		&(struct handoff_message){
			.seq = i->seq, .type = HANDOFF_INFERRED, .inferred = *inferred},
		fd);
	h->tensor_bytes_handed += i->handed_bytes;
}

/* Everything is at its target or in the answer. */
static void answer_at_once(struct inference *i, const struct request_result *result)
{
	struct handoff_tensor *outputs = handoff_scratch_tensors(i->guest->handoff->scratch);
	struct handoff_inferred inferred = inferred_of(result, outputs);

	for (size_t k = 0; k < result->n_outputs; k++) {
		const struct pool_output *o = &result->outputs[k];

		outputs[k] = describe(i, o);
		if (fill_place(result, o, &outputs[k]))
			continue;
		outputs[k].data = o->data;
		outputs[k].n_data = o->length;
	}
	send_answer(i, &inferred, -1);
}

/* --- No room ---------------------------------------------------------------------------------- */

/* An error, with what the outputs take. */
static void refuse(struct inference *i, const struct request_result *result, enum grpc_status code,
	const char *text)
{
	struct handoff_tensor *outputs = handoff_scratch_tensors(i->guest->handoff->scratch);
	size_t n = 0;

	for (size_t k = 0; result->n_outputs <= TOLD_MAX && k < result->n_outputs; k++) {
		if (!request_result_target(result, &result->outputs[k]))
			outputs[n++] = describe(i, &result->outputs[k]);
	}
	guest_answer(i->guest,
		&(struct handoff_message){.seq = i->seq,
			.type = HANDOFF_ERROR,
			.error = {.code = code,
				.message = text,
				.outputs = outputs,
				.n_outputs = n}},
		-1);
}

static void refuse_inline(struct inference *i, const struct request_result *result, uint64_t bytes)
{
	char text[INFERENCE_TEXT_MAX];

	snprintf(text, sizeof(text),
		"model '%s': outputs that have no target, or do not fit it, are %" PRIu64
		" bytes, above max_inline_bytes, %u: name a target in a region",
		model_name(i), bytes, HANDOFF_INLINE_MAX);
	refuse(i, result, GRPC_FAILED_PRECONDITION, text);
}

static uint64_t align(uint64_t n)
{
	return (n + OVERFLOW_ALIGN - 1) & ~(uint64_t)(OVERFLOW_ALIGN - 1);
}

static struct overflow *overflow_new(const struct inference *i, const struct request_result *result)
{
	size_t n = result->n_outputs;
	struct overflow *o = malloc(sizeof(*o) + n * (sizeof(o->outputs[0]) + sizeof(o->dims[0])));
	uint64_t at = 0;

	if (!o)
		return NULL;
	o->outputs = (struct handoff_tensor *)(o + 1);
	o->dims = (int64_t(*)[TENSOR_RANK_MAX])(o->outputs + n);
	o->inferred = inferred_of(result, o->outputs);
	snprintf(o->worker, sizeof(o->worker), "%s", result->worker);
	o->inferred.worker = o->worker;
	for (size_t k = 0; k < n; k++) {
		const struct pool_output *from = &result->outputs[k];
		struct handoff_tensor *t = &o->outputs[k];

		*t = describe(i, from);
		memcpy(o->dims[k], from->dims, from->rank * sizeof(from->dims[0]));
		t->dims = o->dims[k];
		if (fill_place(result, from, t))
			continue;
		t->offset = at;
		at += align(from->length);
	}
	return o;
}

static struct allocation_content *content_new(
	const struct request_result *result, const struct overflow *o)
{
	struct allocation_content *c =
		malloc(sizeof(*c) + result->n_outputs * sizeof(c->pieces[0]));

	if (!c)
		return NULL;
	c->lease = output_lease_ref(result->lease);
	c->n = 0;
	for (size_t k = 0; k < result->n_outputs; k++) {
		if (o->outputs[k].region == 0)
			c->pieces[c->n++] = (struct allocation_piece){
				.data = result->outputs[k].data,
				.length = result->outputs[k].length,
				.offset = o->outputs[k].offset,
			};
	}
	return c;
}

static void answer_overflow(struct inference *i, const struct allocation_end *end)
{
	struct overflow *o = i->overflow;
	struct handoff_registered room = entry_registered(end->entry);

	for (size_t k = 0; k < o->inferred.n_outputs; k++) {
		if (o->outputs[k].region == 0)
			o->outputs[k].region = room.number;
	}
	o->inferred.room = &room;
	o->inferred.n_room = 1;
	send_answer(i, &o->inferred, end->fd);
}

static void on_copied(struct guest *p, void *data, const struct allocation_end *end)
{
	struct inference *i = data;
	int fd = end->fd;

	if (i->cancelled) {
		if (end->entry)
			entry_unregister(end->entry);
		close_fd(&fd);
		guest_refuse(p, i->cancel_seq, GRPC_CANCELLED, "cancelled");
	} else if (end->error) {
		guest_refuse(p, i->seq, GRPC_RESOURCE_EXHAUSTED,
			"model '%s': a region of %" PRIu64
			" bytes for its outputs cannot be made: %s",
			model_name(i), end->size, err_str(end->error));
	} else {
		answer_overflow(i, end);
	}
	i->on_answered(i);
}

/* 0, or -errno where there is no memory. */
static int make_room(struct inference *i, const struct request_result *result, uint64_t size)
{
	struct allocation_content *content = NULL;

	i->overflow = overflow_new(i, result);
	if (i->overflow)
		content = content_new(result, i->overflow);
	if (!content) {
		i->overflow = overflow_free(i->overflow);
		user_refund(i->guest->user, size);
		return -ENOMEM;
	}
	return allocation_start(i->guest, &(struct allocation_order){.seq = i->seq,
						  .size = size,
						  .content = content,
						  .on_end = on_copied,
						  .data = i});
}

/* True: it is answered, as inference_answer(). */
static bool answer_with_room(struct inference *i, const struct request_result *result)
{
	char text[INFERENCE_TEXT_MAX];
	uint64_t size = 0;
	int r;

	for (size_t k = 0; k < result->n_outputs; k++) {
		if (!request_result_target(result, &result->outputs[k]))
			size += align(result->outputs[k].length);
	}
	r = memfd_round(size, &size);
	assert(r == 0); /* it lies in a worker's memory */
	if (guest_charge(i->guest, size, text, sizeof(text))) {
		refuse(i, result, GRPC_RESOURCE_EXHAUSTED, text);
		return true;
	}
	r = make_room(i, result, size);
	if (!r)
		return false;
	snprintf(text, sizeof(text),
		"model '%s': a region of %" PRIu64 " bytes for its outputs cannot be made: %s",
		model_name(i), size, err_str(r));
	refuse(i, result, GRPC_RESOURCE_EXHAUSTED, text);
	return true;
}

bool inference_answer(struct inference *i, const struct request_result *result)
{
	uint64_t bytes = bytes_without_place(result);

	if (result->n_outputs > HANDOFF_TENSORS_MAX)
		guest_refuse(i->guest, i->seq, GRPC_FAILED_PRECONDITION,
			"model '%s' gave %zu outputs, above the limit of %u: name those that are "
			"wanted",
			model_name(i), result->n_outputs, HANDOFF_TENSORS_MAX);
	else if (bytes <= HANDOFF_INLINE_MAX)
		answer_at_once(i, result);
	else if (i->make_room)
		return answer_with_room(i, result);
	else
		refuse_inline(i, result, bytes);
	return true;
}
