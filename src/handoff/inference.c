/*
 * inference.c: requests over the handoff socket.
 *
 * An answer, of whatever kind, means that nothing of ours touches the memory that the request named
 * any more: a deadline that passes while a worker is running is answered when it has ended, and so is
 * Cancel. Invariant: an inference is in its guest's list until it was answered or abandoned, and holds
 * its request, or the demand for its model.
 *
 * A decoupled model answers in part, where the message allows that. What its client does not read is bounded for each
 * inference, which fails beyond: the connection, and what else is asked by it, goes on.
 *
 * Daemon process, loop thread.
 */
#include "handoff/inference.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/demand.h"
#include "dispatch/output_share.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

static struct inference *inference_free(struct inference *i)
{
	list_remove(&i->held.node);
	i->guest->n_inferences--;
	guest_forget_parts(i->guest, &i->parts);
	inference_drop_waiting(i, true);
	i->trace = inference_trace_end(i->trace, i->guest, i->model);
	request_unref(i->request);
	demand_free(i->demand);
	free(i->record);
	free(i);
	return NULL;
}

/* All that there is to say of it. */
static void refuse(struct inference *i, enum grpc_status code, const char *text)
{
	call_trace_answer(i->trace, code);
	guest_refuse(i->guest, i->seq, code, "%s", text);
}

/* --- Answers ---------------------------------------------------------------------------------- */

/* Once all that there is to say was said, but how it ended. It may be freed. */
static void settle(struct inference *i)
{
	if (!i->ended || i->n_waiting > 0)
		return;
	call_trace_answer(i->trace, i->cancelled ? GRPC_CANCELLED : i->status);
	if (i->cancelled)
		guest_refuse(i->guest, i->cancel_seq, GRPC_CANCELLED, "cancelled");
	else if (i->status != GRPC_OK)
		guest_refuse(i->guest, i->seq, i->status, "%s", i->why);
	inference_free(i);
}

/* False: it has failed. */
static bool is_read(struct inference *i)
{
	const struct guest *p = i->guest;
	const struct handoff_settings *s = p->handoff->settings;
	/* What was queued in this turn of the loop could not be sent yet. */
	uint32_t n = i->n_waiting + (p->blocked ? i->parts.n : 0);

	if (i->parts.refused)
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED, "%s", GUEST_FDS_UNREAD_TEXT);
	else if (n >= s->max_unread_answers)
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " answers of one request wait for the client to read, which is "
			"the limit: [limits] max_unread_answers",
			n);
	else if (p->answer_bytes > s->max_output_bytes / 2)
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu64 " bytes of answers wait for the client to read, above half of "
			"[handoff] max_output_bytes",
			p->answer_bytes);
	else if (i->n_waiting > 0 && output_share_over(p->client))
		inference_fail(i, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " answers of one request wait to be copied, above its client's "
			"share of [worker] output_arena_bytes",
			i->n_waiting);
	return !i->over;
}

/* Behind its deadline, or when it is over, nothing is wanted but its end. */
static void on_part(struct inference *i, const struct request_result *result)
{
	if (!i->over && result->times.done_ns < i->deadline_ns && is_read(i))
		inference_answer(i, result);
}

static void on_last(struct inference *i, const struct request_result *result)
{
	i->ended = true;
	call_trace_ran(i->trace, &result->times, result->batch_requests, result->worker);
	if (i->over)
		return;
	if (i->parts.refused)
		inference_end(i, GRPC_RESOURCE_EXHAUSTED, "%s", GUEST_FDS_UNREAD_TEXT);
	else if (result->status != GRPC_OK)
		inference_end(i, result->status, "%s", result->message);
	else if (result->times.done_ns >= i->deadline_ns)
		inference_end(i, GRPC_DEADLINE_EXCEEDED,
			"deadline passed while model '%s' was running",
			version_settings(i->model)->name);
	else
		inference_answer(i, result);
}

static void on_done(void *data, const struct request_result *result)
{
	struct inference *i = data;

	if (result->partial)
		on_part(i, result);
	else
		on_last(i, result);
	settle(i);
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

	if (i->request)
		request_cancel(i->request);
	inference_free(i);
}

/* An Infer as it came. */
struct asked {
	struct guest *guest;
	uint64_t seq;
	const struct handoff_infer *message;
	const uint8_t *record; /* that it was unpacked from */
	size_t n_record;
	uint64_t received_ns;
	bool demanded; /* its model was loaded for it */
	struct trace_context context;
	struct call_trace *trace; /* own, until its inference has it; NULL: it has none */
};

static int make_request(struct inference *i, const struct asked *a)
{
	const char *ours = call_trace_parent(i->trace);
	const struct origin origin = {.client = i->guest->client,
		.peer = &i->guest->peer,
		.received_ns = i->received_ns,
		.deadline_ns = i->deadline_ns,
		.traceparent = ours ? ours : a->context.traceparent,
		.tracestate = a->context.tracestate};

	return request_new(&i->request, i->model, &origin, on_done, i);
}

/* model NULL: it is not there, so there can be no request yet. */
static struct inference *inference_new(struct asked *a, struct version *model)
{
	struct inference *i = calloc(1, sizeof(*i));
	struct guest *p = a->guest;

	if (!i)
		return NULL;
	i->guest = p;
	i->model = model;
	i->seq = a->seq;
	i->received_ns = a->received_ns;
	i->deadline_ns = deadline_of(a->message, a->received_ns);
	list_init(&i->waiting);
	i->trace = a->trace;
	if (model && make_request(i, a)) {
		free(i);
		return NULL;
	}
	a->trace = NULL;
	i->on_progress = settle;
	i->held.drop = drop;
	list_init(&i->held.node);
	list_push_back(&p->inferences, &i->held.node);
	p->n_inferences++;
	return i;
}

static void on_hold_end(void *data);

/* -ENOMEM */
static int keep_message(struct inference *i, const struct asked *a)
{
	i->record = malloc(a->n_record);
	if (!i->record)
		return -ENOMEM;
	memcpy(i->record, a->record, a->n_record);
	i->n_record = a->n_record;
	return 0;
}

/* Its model is not loaded yet. As dispatch_hold(); -ENOMEM */
static int hold(struct inference *i, const struct asked *a)
{
	int e = keep_message(i, a);

	if (e)
		return e;
	e = dispatch_hold(i->guest->handoff->dispatch, i->request, on_hold_end);
	if (e) {
		free(i->record);
		i->record = NULL;
	}
	return e;
}

/* DISPATCH_E_REFUSED: the request says why; -ENOMEM */
static int hold_or_submit(struct inference *i, const struct asked *a)
{
	int e = version_declared(i->model) ? DISPATCH_E_NOT_HELD : hold(i, a);

	return e == DISPATCH_E_NOT_HELD ? dispatch_submit(i->guest->handoff->dispatch, i->request)
					: e;
}

static void submit(struct inference *i, const struct asked *a)
{
	int why = inference_fill(i, a->message);
	int e = why ? 0 : hold_or_submit(i, a);

	if (!why && !e)
		return;
	if (why)
		refuse(i, (enum grpc_status)why, i->why);
	else if (e == DISPATCH_E_REFUSED)
		refuse(i, request_status(i->request), request_message(i->request));
	else
		refuse(i, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
	if (e != DISPATCH_E_REFUSED)
		request_cancel(i->request);
	inference_free(i);
}

static void on_demand_end(void *data, enum grpc_status status, const char *text);

/* As dispatch_demand(). */
static int demand(struct inference *i, const struct asked *a)
{
	const struct demand_wish wish = {.model = a->message->model,
		.version = "",
		.client = i->guest->client,
		.deadline_ns = i->deadline_ns,
		.on_end = on_demand_end,
		.data = i};
	int e = keep_message(i, a);

	return e ? e : dispatch_demand(i->guest->handoff->dispatch, &wish, &i->demand);
}

static void refuse_unknown(const struct asked *a)
{
	const char *name = a->message->model;

	guest_refuse(a->guest, a->seq, GRPC_NOT_FOUND,
		name[0] ? "model '%.255s' not found"
			: "no model is named%s, and none is the default: [models] default",
		name);
}

/* There is no such model: it may be loaded for this request. */
static void begin_unknown(struct asked *a)
{
	struct inference *i = a->demanded ? NULL : inference_new(a, NULL);
	int e = a->demanded ? DEMAND_E_NOBODY : i ? demand(i, a) : -ENOMEM;

	if (!e)
		return;
	call_trace_answer(i ? i->trace : a->trace,
		e == DEMAND_E_NOBODY ? GRPC_NOT_FOUND : GRPC_RESOURCE_EXHAUSTED);
	if (e == DEMAND_E_NOBODY)
		refuse_unknown(a);
	else
		guest_refuse(a->guest, a->seq, GRPC_RESOURCE_EXHAUSTED, "%s",
			e == DEMAND_E_FULL ? DEMAND_FULL_TEXT : "modeld is out of memory");
	if (i)
		inference_free(i);
}

static void begin_known(struct asked *a, struct version *model)
{
	struct inference *i = inference_new(a, model);

	if (i) {
		submit(i, a);
		return;
	}
	call_trace_answer(a->trace, GRPC_RESOURCE_EXHAUSTED);
	guest_refuse(a->guest, a->seq, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
}

static void begin(struct asked *a)
{
	const char *name = a->message->model;
	struct version *model =
		dispatch_find_version(a->guest->handoff->dispatch, name, strlen(name));

	if (model)
		begin_known(a, model);
	else
		begin_unknown(a);
	a->trace = inference_trace_end(a->trace, a->guest, model);
}

/* There is more to say of its model now. */
static void begin_anew(struct inference *i, bool demanded)
{
	const struct handoff_message *m;
	struct asked a = {.guest = i->guest,
		.seq = i->seq,
		.record = i->record,
		.n_record = i->n_record,
		.received_ns = i->received_ns,
		.demanded = demanded,
		.trace = steal_ptr(i->trace)};
	int r;

	i->record = NULL;
	inference_free(i);
	r = handoff_unpack_request(a.guest->handoff->scratch, a.record, a.n_record, &m);
	assert(r == 0);
	(void)r;
	a.message = &m->infer;
	a.context = inference_context_read(&a.guest->handoff->context, a.message);
	begin(&a);
	free((uint8_t *)a.record);
}

static void on_hold_end(void *data)
{
	struct inference *i = data;

	if (request_status(i->request) == GRPC_OK) {
		begin_anew(i, false);
		return;
	}
	refuse(i, request_status(i->request), request_message(i->request));
	inference_free(i);
}

static void on_demand_end(void *data, enum grpc_status status, const char *text)
{
	struct inference *i = data;

	i->demand = NULL;
	if (status == GRPC_OK) {
		begin_anew(i, true);
		return;
	}
	refuse(i, status, text);
	inference_free(i);
}

void inference_begin(struct guest *p, uint64_t seq, const struct handoff_infer *m)
{
	struct handoff *h = p->handoff;
	struct asked a = {.guest = p,
		.seq = seq,
		.message = m,
		.record = h->record,
		.n_record = h->n_record,
		.received_ns = clock_ns()};

	h->requests_total++;
	if (p->n_inferences >= h->settings->max_requests) {
		guest_refuse(p, seq, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32
			" requests of this connection are in flight, which is the limit: "
			"[handoff] max_requests",
			p->n_inferences);
		return;
	}
	a.context = inference_context_read(&h->context, m);
	a.trace = call_trace_begin(h->tracer, &a.context, a.received_ns);
	begin(&a);
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
		inference_stop(i);
		settle(i);
		return;
	}
	guest_refuse(p, seq, GRPC_CANCELLED, "cancelled");
}
