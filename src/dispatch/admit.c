/*
 * admit.c: whether a request may wait for a worker. Cheap refusals come first, so that an overloaded
 * daemon does not look at tensors in vain. Daemon process, loop thread.
 */
#include "dispatch/admit.h"

#include <assert.h>
#include <inttypes.h>

#include "dispatch/check.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/sequence.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

/* Streams wait where this part of a limit is left: it is for unary calls, which cannot. */
#define UNARY_PART 4u

static int refuse_unavailable(struct request *r)
{
	const struct version *v = r->version;
	const char *detail = version_detail(v);

	return request_refuse(r, GRPC_UNAVAILABLE, "model '%s' %s%s%s", v->settings.name,
		version_unavailable_text(v), *detail ? ": " : "", detail);
}

/* The first worker declared the version between request_new() and now: its inputs could not be given. */
static bool made_too_early(const struct request *r)
{
	const struct wire_loaded *declared = version_declared(r->version);

	return r->n_inputs != declared->n_inputs || r->n_outputs_max != declared->n_outputs;
}

/* Where streams took all there is, unary calls would be refused: of those who share the connection (by a
 * proxy), or want the model, too. */
bool admit_full(const struct client *c, const struct version *v, uint32_t max_per_client)
{
	const struct work *w = v ? v->work : NULL;

	return c->requests >= max_per_client - max_per_client / UNARY_PART ||
	       (w && queue_full(&w->queue, w->n_early + w->queue.max / UNARY_PART));
}

void request_set_queueing(struct request *r, uint64_t priority, uint64_t timeout_us)
{
	r->level = queue_settings_level(r->version->settings.queue, priority);
	r->timeout_us = timeout_us;
}

bool request_finds_full(const struct request *r)
{
	const struct work *w = r->version->work;

	return w && (queue_full(&w->queue, w->n_early) || queue_level_full(&w->queue, r->level));
}

int admit_limits(struct request *r, uint32_t max_per_client)
{
	const struct work *w = r->version->work;

	if (queue_level_full(&w->queue, r->level))
		return request_refuse(r, GRPC_UNAVAILABLE, "Exceeds maximum queue size");
	if (r->allows_excess)
		return 0;
	if (queue_full(&w->queue, w->n_early))
		return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " requests wait for model '%s', which is the limit "
			"(max_queue_size)",
			w->queue.n + w->n_early, r->version->settings.name);
	if (r->client->requests >= max_per_client)
		return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " requests of this connection are queued or running, which is "
			"the limit ([dispatch] max_requests_per_client)",
			r->client->requests);
	return 0;
}

/* Whoever asks must be able to take what a decoupled model says. */
static int check_partial(struct request *r)
{
	if (!version_decoupled(r->version))
		return 0;
	if (!r->allows_partial)
		return request_refuse(r, GRPC_UNIMPLEMENTED,
			"model '%s' answers a request any number of times (it is decoupled): only "
			"a streaming call can take that",
			r->version->settings.name);
	if (r->n_targets > 0)
		return request_refuse(r, GRPC_UNIMPLEMENTED,
			"model '%s' answers a request any number of times (it is decoupled): its "
			"outputs cannot go to a region",
			r->version->settings.name);
	return 0;
}

/* Everything that needs no look at the tensors. */
static int check_without_tensors(struct request *r, bool closed, uint32_t max_per_client)
{
	const struct version *v = r->version;
	int e;

	if (closed)
		return request_refuse(r, GRPC_UNAVAILABLE, "%s", DISPATCH_ENDING_TEXT);
	if (r->deadline_ns <= r->times.submitted_ns)
		return request_refuse(r, GRPC_DEADLINE_EXCEEDED,
			"deadline passed before the request for model '%s' was complete",
			v->settings.name);
	assert(v->work); /* it stays while there are requests for it */
	if (!version_declared(v) || !version_hopeful(v))
		return refuse_unavailable(r);
	if (made_too_early(r))
		return request_refuse(r, GRPC_UNAVAILABLE,
			"model '%s' was not loaded yet when this request began", v->settings.name);
	e = check_partial(r);
	return e ? e : admit_limits(r, max_per_client);
}

static int enter_queue(struct request *r)
{
	if (!queue_push(&r->version->work->queue, r, r->times.submitted_ns))
		return 0;
	return request_refuse(r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* A step of a sequence. */
static int admit_step(struct request *r)
{
	int e = sequence_step_fill(r);

	if (!e)
		e = check_request(r);
	if (!e)
		e = sequence_admit(r);
	if (e)
		return e;
	e = enter_queue(r);
	if (e)
		sequence_forget(r);
	else
		sequence_enter(r);
	return e;
}

int admit(struct request *r, bool closed, uint32_t max_per_client)
{
	int e = check_without_tensors(r, closed, max_per_client);

	if (!e && r->version->work->sequences)
		return admit_step(r);
	if (!e)
		e = check_request(r);
	return e ? e : enter_queue(r);
}
