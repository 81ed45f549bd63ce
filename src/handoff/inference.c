/*
 * inference.c: requests over the handoff socket.
 *
 * An answer, of whatever kind, means that nothing of ours touches the memory that the request named
 * any more: a deadline that passes while a worker is running is answered when it has ended, and so is
 * Cancel. Invariant: an inference is in its guest's list until it was answered or abandoned, and holds
 * its request, or the demand for its model.
 *
 * inference_fill.c makes the request of the record, inference_answer.c the answer. Daemon process, loop thread.
 */
#include "handoff/inference.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/demand.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

static struct inference *inference_free(struct inference *i)
{
	list_remove(&i->held.node);
	i->guest->n_inferences--;
	request_unref(i->request);
	demand_free(i->demand);
	overflow_free(i->overflow);
	free(i->record);
	free(i);
	return NULL;
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
	else if (result->status == GRPC_OK && !inference_answer(i, result))
		return;
	else if (result->status != GRPC_OK)
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

static void answered(struct inference *i)
{
	inference_free(i);
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
};

static int make_request(struct inference *i)
{
	const struct origin origin = {.client = i->guest->client,
		.peer = &i->guest->peer,
		.received_ns = i->received_ns,
		.deadline_ns = i->deadline_ns,
		.traceparent = ""};

	return request_new(&i->request, i->model, &origin, on_done, i);
}

/* model NULL: it is not there, so there can be no request yet. */
static struct inference *inference_new(const struct asked *a, struct version *model)
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
	if (model && make_request(i)) {
		free(i);
		return NULL;
	}
	i->on_answered = answered;
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
	struct guest *p = i->guest;
	int why = inference_fill(i, a->message);
	int e = why ? 0 : hold_or_submit(i, a);

	if (!why && !e)
		return;
	if (why)
		guest_refuse(p, i->seq, (enum grpc_status)why, "%s", i->why);
	else if (e == DISPATCH_E_REFUSED)
		guest_refuse(
			p, i->seq, request_status(i->request), "%s", request_message(i->request));
	else
		guest_refuse(p, i->seq, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
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
static void begin_unknown(const struct asked *a)
{
	struct inference *i = a->demanded ? NULL : inference_new(a, NULL);
	int e = a->demanded ? DEMAND_E_NOBODY : i ? demand(i, a) : -ENOMEM;

	if (!e)
		return;
	if (e == DEMAND_E_NOBODY)
		refuse_unknown(a);
	else
		guest_refuse(a->guest, a->seq, GRPC_RESOURCE_EXHAUSTED, "%s",
			e == DEMAND_E_FULL ? DEMAND_FULL_TEXT : "modeld is out of memory");
	if (i)
		inference_free(i);
}

static void begin(const struct asked *a)
{
	struct guest *p = a->guest;
	const char *name = a->message->model;
	struct version *model = dispatch_find_version(p->handoff->dispatch, name, strlen(name));
	struct inference *i;

	if (!model) {
		begin_unknown(a);
		return;
	}
	i = inference_new(a, model);
	if (i)
		submit(i, a);
	else
		guest_refuse(p, a->seq, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
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
		.demanded = demanded};
	int r;

	i->record = NULL;
	inference_free(i);
	r = handoff_unpack_request(a.guest->handoff->scratch, a.record, a.n_record, &m);
	assert(r == 0);
	(void)r;
	a.message = &m->infer;
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
	guest_refuse(
		i->guest, i->seq, request_status(i->request), "%s", request_message(i->request));
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
	guest_refuse(i->guest, i->seq, status, "%s", text);
	inference_free(i);
}

void inference_begin(struct guest *p, uint64_t seq, const struct handoff_infer *m)
{
	struct handoff *h = p->handoff;

	h->requests_total++;
	if (p->n_inferences >= h->settings->max_requests) {
		guest_refuse(p, seq, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32
			" requests of this connection are in flight, which is the limit: "
			"[handoff] max_requests",
			p->n_inferences);
		return;
	}
	begin(&(struct asked){.guest = p,
		.seq = seq,
		.message = m,
		.record = h->record,
		.n_record = h->n_record,
		.received_ns = clock_ns()});
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
		if (i->overflow || (i->request && !request_withdraw(i->request)))
			return;
		inference_free(i);
		break;
	}
	guest_refuse(p, seq, GRPC_CANCELLED, "cancelled");
}
