/*
 * inference.c: requests over the handoff socket.
 *
 * An answer, of whatever kind, means that nothing of ours touches the memory that the request named
 * any more: a deadline that passes while a worker is running is answered when it has ended, and so is
 * Cancel. Invariant: an inference is in its guest's list until it was answered or abandoned, and holds
 * its request. Daemon process, loop thread.
 */
#include "handoff/inference.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "dispatch/version_names.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"

#define TEXT_MAX 512u

struct inference {
	struct held held; /* in guest.inferences */
	struct guest *guest;
	struct version *model;	 /* borrow */
	struct request *request; /* ref */
	uint64_t seq;
	uint64_t cancel_seq; /* of the Cancel that is to be answered */
	uint64_t deadline_ns;
	uint64_t handed_bytes; /* tensor data that lies in regions */
	bool cancelled;
	char why[TEXT_MAX]; /* filling it failed: the text */
};

static struct inference *inference_free(struct inference *i)
{
	list_remove(&i->held.node);
	i->guest->n_inferences--;
	request_unref(i->request);
	free(i);
	return NULL;
}

static int invalid(struct inference *i, const char *format, ...) _printf_(2, 3);

/* Always INVALID_ARGUMENT, as a status. */
static int invalid(struct inference *i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(i->why, sizeof(i->why), format, args);
	va_end(args);
	return GRPC_INVALID_ARGUMENT;
}

/* --- The request: each returns GRPC_OK or the status of the refusal, whose text is in i->why ----- */

static int find_region(struct inference *i, const char *what, const char *name, uint64_t number,
	struct region **ret_region)
{
	struct entry *e = entry_find_number(&i->guest->handoff->entries, i->guest, number);

	if (e) {
		*ret_region = e->region;
		return GRPC_OK;
	}
	invalid(i, "%s '%.255s': region %" PRIu64 " is not known on this connection", what, name,
		number);
	return GRPC_NOT_FOUND;
}

/* An empty name is the first; any other is probably the one that is declared in this position. */
static uint32_t guess(const char *name, size_t position)
{
	return name[0] ? (uint32_t)position : 0;
}

static int fill_input(struct inference *i, const struct handoff_tensor *t, size_t position)
{
	char names[VERSION_NAMES_MAX];
	struct request_input *in;
	struct region *region;
	uint32_t index = guess(t->name, position);
	int e;

	if (t->name[0] && version_find_input(i->model, t->name, &index))
		return invalid(i, "model '%s' has no input '%.255s'%s",
			version_settings(i->model)->name, t->name,
			version_list_inputs(i->model, names, sizeof(names)));
	in = request_input(i->request, index);
	if (!in)
		return invalid(i, "model '%s' has no inputs", version_settings(i->model)->name);
	if (in->region)
		return invalid(i, "input '%.255s' is given twice", t->name);
	if (t->rank > TENSOR_RANK_MAX)
		return invalid(i, "input '%.255s': rank %" PRIu32 " exceeds %d", t->name, t->rank,
			TENSOR_RANK_MAX);
	if (t->dtype == DTYPE_INVALID || t->dtype >= DTYPE_MAX_)
		return invalid(
			i, "input '%.255s': there is no dtype %u", t->name, (unsigned int)t->dtype);
	e = find_region(i, "input", t->name, t->region, &region);
	if (e)
		return e;
	in->dtype = t->dtype;
	in->rank = t->rank;
	for (uint32_t k = 0; k < t->rank; k++)
		in->dims[k] = t->dims[k];
	in->region = region_ref(region);
	in->offset = t->offset;
	in->length = t->length;
	i->handed_bytes += t->length;
	return GRPC_OK;
}

static int find_output(struct inference *i, const char *name, size_t position, uint32_t *ret_index)
{
	char names[VERSION_NAMES_MAX];

	*ret_index = guess(name, position);
	if (!name[0] || !version_find_output(i->model, name, ret_index))
		return GRPC_OK;
	return invalid(i, "model '%s' has no output '%.255s'%s", version_settings(i->model)->name,
		name, version_list_outputs(i->model, names, sizeof(names)));
}

static int fill_target(struct inference *i, const struct handoff_target *t, size_t position)
{
	struct region *region;
	uint32_t index;
	int e = find_output(i, t->name, position, &index);

	if (!e)
		e = find_region(i, "output", t->name, t->region, &region);
	if (e)
		return e;
	switch (request_set_target(i->request, index, region, t->offset, t->length)) {
	case 0:
		return GRPC_OK;
	case -EEXIST:
		return invalid(i, "output '%.255s' has two targets", t->name);
	default:
		return invalid(i, "model '%s' has no outputs", version_settings(i->model)->name);
	}
}

static int fill_output(struct inference *i, const char *name, size_t position)
{
	uint32_t index;
	int e = find_output(i, name, position, &index);

	if (e)
		return e;
	if (request_want_output(i->request, index))
		return invalid(i, "output '%.255s' is wanted twice, or there is none", name);
	return GRPC_OK;
}

static int fill_parameter(struct inference *i, const struct handoff_pair *p)
{
	switch (request_add_parameter(i->request, p->key, p->value)) {
	case 0:
		return GRPC_OK;
	case -E2BIG:
		return invalid(i,
			"parameter '%.255s': at most %u parameters, keys of %u bytes and values of "
			"%u bytes can be given to a model",
			p->key, WIRE_PAIRS_MAX, WIRE_NAME_MAX, WIRE_TEXT_MAX);
	default:
		invalid(i, "modeld is out of memory");
		return GRPC_RESOURCE_EXHAUSTED;
	}
}

static int check_counts(struct inference *i, const struct handoff_infer *m)
{
	if (m->n_inputs > HANDOFF_TENSORS_MAX || m->n_targets > HANDOFF_TENSORS_MAX ||
		m->n_outputs > HANDOFF_TENSORS_MAX)
		return invalid(i, "%zu inputs, %zu targets, %zu outputs: the limit of each is %u",
			m->n_inputs, m->n_targets, m->n_outputs, HANDOFF_TENSORS_MAX);
	return GRPC_OK;
}

static int fill(struct inference *i, const struct handoff_infer *m)
{
	int e = check_counts(i, m);

	/* A model that was never loaded has no declaration: dispatch says why. */
	if (!version_declared(i->model))
		return e;
	for (size_t k = 0; !e && k < m->n_inputs; k++)
		e = fill_input(i, &m->inputs[k], k);
	for (size_t k = 0; !e && k < m->n_targets; k++)
		e = fill_target(i, &m->targets[k], k);
	for (size_t k = 0; !e && k < m->n_outputs; k++)
		e = fill_output(i, m->outputs[k], k);
	for (size_t k = 0; !e && k < m->n_parameters; k++)
		e = fill_parameter(i, &m->parameters[k]);
	return e;
}

/* --- The answer --------------------------------------------------------------------------------- */

/* Bytes of outputs that have no target. */
static uint64_t inline_bytes(const struct request_result *result)
{
	uint64_t n = 0;

	for (size_t k = 0; k < result->n_outputs; k++) {
		if (!request_result_target(result, result->outputs[k].index))
			n += result->outputs[k].length;
	}
	return n;
}

static void fill_tensor(struct inference *i, const struct request_result *result,
	const struct pool_output *o, struct handoff_tensor *t)
{
	const struct request_target *target = request_result_target(result, o->index);

	*t = (struct handoff_tensor){
		.name = version_declared(i->model)->outputs[o->index].name,
		.dtype = o->dtype,
		.dims = o->dims,
		.rank = o->rank,
		.length = o->length,
	};
	if (!target) {
		t->data = o->data;
		t->n_data = o->length;
		return;
	}
	t->region = ((const struct entry *)region_data(target->region))->number;
	t->offset = target->offset;
	i->handed_bytes += o->length;
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static void answer_outputs(struct inference *i, const struct request_result *result)
{
	const struct request_times *t = &result->times;
	struct handoff_tensor *tensors = handoff_scratch_tensors(i->guest->handoff->scratch);
	uint64_t bytes = inline_bytes(result);

	if (result->n_outputs > HANDOFF_TENSORS_MAX) {
		guest_refuse(i->guest, i->seq, GRPC_FAILED_PRECONDITION,
			"model '%s' gave %zu outputs, above the limit of %u: name those that are "
			"wanted",
			version_settings(i->model)->name, result->n_outputs, HANDOFF_TENSORS_MAX);
		return;
	}
	if (bytes > HANDOFF_INLINE_MAX) {
		guest_refuse(i->guest, i->seq, GRPC_FAILED_PRECONDITION,
			"model '%s': outputs without a target are %" PRIu64
			" bytes, above max_inline_bytes, %u: name a target in a region",
			version_settings(i->model)->name, bytes, HANDOFF_INLINE_MAX);
		return;
	}
	for (size_t k = 0; k < result->n_outputs; k++)
		fill_tensor(i, result, &result->outputs[k], &tensors[k]);
	guest_answer(i->guest,
		&(struct handoff_message){.seq = i->seq,
			.type = HANDOFF_INFERRED,
			.inferred = {.outputs = tensors,
				.n_outputs = result->n_outputs,
				.queue_ns = since(t->submitted_ns, t->dispatched_ns),
				.compute_ns = t->compute_ns,
				.total_ns = since(t->received_ns, t->done_ns),
				.batch_requests = result->batch_requests,
				.worker = result->worker}},
		-1);
	i->guest->handoff->tensor_bytes_handed += i->handed_bytes;
}

static void on_done(void *data, const struct request_result *result)
{
	struct inference *i = data;

	if (i->cancelled)
		guest_refuse(i->guest, i->cancel_seq, GRPC_CANCELLED, "cancelled");
	else if (result->status == GRPC_OK && result->times.done_ns >= i->deadline_ns)
		guest_refuse(i->guest, i->seq, GRPC_DEADLINE_EXCEEDED,
			"deadline passed while model '%s' was running",
			version_settings(i->model)->name);
	else if (result->status == GRPC_OK)
		answer_outputs(i, result);
	else
		guest_refuse(i->guest, i->seq, result->status, "%s", result->message);
	inference_free(i);
}

/* --- Life --------------------------------------------------------------------------------------- */

static uint64_t deadline_of(const struct handoff_infer *m, uint64_t now_ns)
{
	if (m->timeout_us == 0 || m->timeout_us > UINT64_MAX / NS_PER_US)
		return CLOCK_NO_DEADLINE;
	return clock_add(now_ns, m->timeout_us * NS_PER_US);
}

/* The guest goes: no answer. */
static void drop(struct held *held)
{
	struct inference *i = container_of(held, struct inference, held);

	request_cancel(i->request);
	inference_free(i);
}

static struct inference *inference_new(
	struct guest *p, uint64_t seq, struct version *model, const struct handoff_infer *m)
{
	struct inference *i = calloc(1, sizeof(*i));
	struct origin origin = {.client = p->client,
		.peer = &p->peer,
		.received_ns = clock_ns(),
		.traceparent = ""};

	if (!i)
		return NULL;
	i->guest = p;
	i->model = model;
	i->seq = seq;
	origin.deadline_ns = i->deadline_ns = deadline_of(m, origin.received_ns);
	if (request_new(&i->request, model, &origin, on_done, i)) {
		free(i);
		return NULL;
	}
	i->held.drop = drop;
	list_init(&i->held.node);
	list_push_back(&p->inferences, &i->held.node);
	p->n_inferences++;
	return i;
}

static void submit(struct inference *i, const struct handoff_infer *m)
{
	struct guest *p = i->guest;
	int e = fill(i, m);

	if (!e && !dispatch_submit(p->handoff->dispatch, i->request))
		return;
	if (e)
		guest_refuse(p, i->seq, (enum grpc_status)e, "%s", i->why);
	else
		guest_refuse(
			p, i->seq, request_status(i->request), "%s", request_message(i->request));
	if (e)
		request_cancel(i->request);
	inference_free(i);
}

void inference_begin(struct guest *p, uint64_t seq, const struct handoff_infer *m)
{
	struct handoff *h = p->handoff;
	struct version *model = dispatch_find_version(h->dispatch, m->model, strlen(m->model));
	struct inference *i;

	h->requests_total++;
	if (p->n_inferences >= h->settings->max_requests) {
		guest_refuse(p, seq, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32
			" requests of this connection are in flight, which is the limit: "
			"[handoff] max_requests",
			p->n_inferences);
		return;
	}
	if (!model) {
		guest_refuse(p, seq, GRPC_NOT_FOUND,
			m->model[0] ? "model '%.255s' not found"
				    : "no model is named%s, and none is the default: [models] "
				      "default",
			m->model);
		return;
	}
	i = inference_new(p, seq, model, m);
	if (i)
		submit(i, m);
	else
		guest_refuse(p, seq, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
}

void inference_cancel(struct guest *p, uint64_t seq, uint64_t of)
{
	list_for_each (&p->inferences, node) {
		struct inference *i = list_entry(node, struct inference, held.node);

		if (i->seq != of)
			continue;
		if (i->cancelled) {
			guest_refuse(p, seq, GRPC_INVALID_ARGUMENT,
				"request %" PRIu64 " is being cancelled already", of);
			return;
		}
		i->cancelled = true;
		i->cancel_seq = seq;
		if (!request_withdraw(i->request))
			return;
		inference_free(i);
		break;
	}
	guest_refuse(p, seq, GRPC_CANCELLED, "cancelled");
}
