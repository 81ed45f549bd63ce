/*
 * inference_answer.c: what a model gave, for the client: at its targets, in the answer itself, or, where there is no room in
 * either, in a region that is made for it (inference_waiting.c).
 *
 * Daemon process, loop thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

static const char *model_name(const struct inference *i)
{
	return version_settings(i->model)->name;
}

/* At its target, else with its data. */
static struct handoff_tensor describe(
	const struct inference *i, const struct request_result *result, const struct pool_output *o)
{
	const struct request_target *target = request_result_target(result, o);
	struct handoff_tensor t = {
		.name = version_declared(i->model)->outputs[o->index].name,
		.dtype = o->dtype,
		.dims = o->dims,
		.rank = o->rank,
		.length = o->length,
	};

	if (target) {
		t.region = ((const struct entry *)region_data(target->region))->number;
		t.offset = target->offset;
	} else {
		t.data = o->data;
		t.n_data = o->length;
	}
	return t;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* outputs: room for those of the result. */
static struct handoff_inferred inferred_of(const struct inference *i,
	const struct request_result *result, struct handoff_tensor *outputs)
{
	const struct request_times *t = &result->times;

	for (size_t k = 0; k < result->n_outputs; k++)
		outputs[k] = describe(i, result, &result->outputs[k]);
	return (struct handoff_inferred){
		.outputs = outputs,
		.n_outputs = result->n_outputs,
		.queue_ns = since(t->submitted_ns, t->dispatched_ns),
		.compute_ns = t->compute_ns,
		.total_ns = since(t->received_ns, t->done_ns),
		.batch_requests = result->batch_requests,
		.worker = result->worker,
		.more = result->partial,
	};
}

static void refuse_inline(struct inference *i, const struct handoff_inferred *inferred)
{
	char text[INFERENCE_TEXT_MAX];

	snprintf(text, sizeof(text),
		"model '%s': outputs that have no target, or do not fit it, are %" PRIu64
		" bytes, above max_inline_bytes, %u: name a target in a region",
		model_name(i), inference_inline_bytes(inferred), HANDOFF_INLINE_MAX);
	inference_refuse(i, inferred, GRPC_FAILED_PRECONDITION, text);
}

static void refuse_count(struct inference *i, const struct request_result *result)
{
	(result->partial ? inference_fail : inference_end)(i, GRPC_FAILED_PRECONDITION,
		"model '%s' gave %zu outputs, above the limit of %u: name those that are wanted",
		model_name(i), result->n_outputs, HANDOFF_TENSORS_MAX);
}

void inference_answer(struct inference *i, const struct request_result *result)
{
	struct handoff_inferred inferred;
	bool large;

	if (result->n_outputs > HANDOFF_TENSORS_MAX) {
		refuse_count(i, result);
		return;
	}
	inferred = inferred_of(i, result, handoff_scratch_tensors(i->guest->handoff->scratch));
	large = inference_inline_bytes(&inferred) > HANDOFF_INLINE_MAX;
	if (large && !i->make_room)
		refuse_inline(i, &inferred);
	else if (!large && i->n_waiting == 0)
		inference_send(i, &inferred, -1);
	else if (inference_wait(i, &inferred, result->lease, large))
		inference_refuse(i, &inferred, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
	else
		inference_advance(i);
}
