/*
 * inference.c: requests over the handoff socket.
 *
 * An answer, of whatever kind, means that nothing of ours touches the memory that the request named
 * any more: a deadline that passes while a worker is running is answered when it has ended, and so is
 * Cancel. Invariant: an inference is in its guest's list until it was answered or abandoned, and holds
 * its request.
 *
 * inference_fill.c makes the request of the record, inference_answer.c the answer. Daemon process, loop thread.
 */
#include "handoff/inference.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

static struct inference *inference_free(struct inference *i)
{
	list_remove(&i->held.node);
	i->guest->n_inferences--;
	request_unref(i->request);
	overflow_free(i->overflow);
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
	i->on_answered = answered;
	i->held.drop = drop;
	list_init(&i->held.node);
	list_push_back(&p->inferences, &i->held.node);
	p->n_inferences++;
	return i;
}

static void submit(struct inference *i, const struct handoff_infer *m)
{
	struct guest *p = i->guest;
	int e = inference_fill(i, m);

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
		if (i->overflow || !request_withdraw(i->request))
			return;
		inference_free(i);
		break;
	}
	guest_refuse(p, seq, GRPC_CANCELLED, "cancelled");
}
