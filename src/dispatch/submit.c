/*
 * submit.c: a request's way into its queue, and out of it when nobody wants it any more. Cheap
 * refusals come first, so that an overloaded daemon does not look at tensors in vain.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/dispatch.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "dispatch/check.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/model_private.h"
#include "dispatch/request_private.h"

/* "model 'x' has failed: cannot be loaded" */
static const char *unavailable_text(const struct model *m)
{
	if (!model_hopeful(m))
		return "has failed";
	return model_declared(m) ? "is not available" : "is not loaded yet";
}

void dispatch_fail_unavailable(
	struct dispatch *d, struct model *m, struct request *r, uint64_t now_ns)
{
	const char *detail = model_detail(m);

	if (dispatch_draining(d))
		request_fail(r, now_ns, GRPC_UNAVAILABLE, "%s", DISPATCH_ENDING_TEXT);
	else
		request_fail(r, now_ns, GRPC_UNAVAILABLE, "model '%s' %s%s%s", m->settings->name,
			unavailable_text(m), *detail ? ": " : "", detail);
}

static int refuse_unavailable(struct request *r)
{
	const struct model *m = r->model;
	const char *detail = model_detail(m);

	return request_refuse(r, GRPC_UNAVAILABLE, "model '%s' %s%s%s", m->settings->name,
		unavailable_text(m), *detail ? ": " : "", detail);
}

/* The first worker declared the model between request_new() and now: its inputs could not be given. */
static bool made_too_early(const struct request *r)
{
	const struct wire_loaded *declared = model_declared(r->model);

	return r->n_inputs != declared->n_inputs || r->n_outputs_max != declared->n_outputs;
}

/* Everything that needs no look at the tensors. */
static int admit(struct dispatch *d, struct request *r)
{
	struct model *m = r->model;

	if (dispatch_draining(d))
		return request_refuse(r, GRPC_UNAVAILABLE, "%s", DISPATCH_ENDING_TEXT);
	if (r->deadline_ns <= r->times.submitted_ns)
		return request_refuse(r, GRPC_DEADLINE_EXCEEDED,
			"deadline passed before the request for model '%s' was complete",
			m->settings->name);
	if (!model_declared(m) || !model_hopeful(m))
		return refuse_unavailable(r);
	if (made_too_early(r))
		return request_refuse(r, GRPC_UNAVAILABLE,
			"model '%s' was not loaded yet when this request began", m->settings->name);
	if (queue_full(&m->queue))
		return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " requests wait for model '%s', which is the limit "
			"(max_queue_size)",
			m->queue.n, m->settings->name);
	if (r->client->requests >= d->settings->max_requests_per_client)
		return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu32 " requests of this connection are queued or running, which is "
			"the limit ([dispatch] max_requests_per_client)",
			r->client->requests);
	return 0;
}

static int enqueue(struct dispatch *d, struct request *r)
{
	int e = admit(d, r);

	if (!e)
		e = check_request(r);
	if (!e && queue_push(&r->model->queue, r, r->times.submitted_ns))
		e = request_refuse(r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	return e;
}

int dispatch_submit(struct dispatch *d, struct request *r)
{
	int e;

	assert(r->state == REQUEST_NEW && r->model->dispatch == d);
	r->times.submitted_ns = clock_ns();
	e = enqueue(d, r);
	if (e) {
		r->model->counters.requests_failed++;
		request_discard(r);
		return e;
	}
	request_ref(r);
	client_charge_request(r->client);
	d->n_requests++;
	d->activity++;
	scheduler_add(&d->scheduler, r->model);
	dispatch_wake(d);
	return 0;
}

void request_cancel(struct request *r)
{
	struct dispatch *d = r->model->dispatch;

	switch (r->state) {
	case REQUEST_NEW:
		request_discard(r);
		break;
	case REQUEST_QUEUED:
		queue_remove(&r->model->queue, r);
		request_drop(r);
		dispatch_wake(d);
		break;
	case REQUEST_SENT:
	case REQUEST_LEAVING:
		r->silent = true;
		break;
	case REQUEST_DONE:
	case REQUEST_STATES_:
		break;
	}
}

bool request_withdraw(struct request *r)
{
	if (r->state == REQUEST_SENT || r->state == REQUEST_LEAVING) {
		r->withdrawn = true;
		return false;
	}
	request_cancel(r);
	return true;
}
