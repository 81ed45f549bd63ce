/* dispatch_requests.c: the door's part that is about requests: submitted, cancelled, withdrawn. Daemon process, loop thread. */
#include <assert.h>

#include "base/clock.h"
#include "dispatch/admit.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/give_up.h"
#include "dispatch/ordering.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

int dispatch_submit(struct dispatch *d, struct request *r)
{
	int e;

	assert(r->state == REQUEST_NEW);
	r->times.submitted_ns = clock_ns();
	r->dispatch = d;
	e = admit(r, d->state != DISPATCH_OPEN, d->settings->max_requests_per_client);
	if (e) {
		version_note_refusal(r->version);
		request_discard(r);
		return e;
	}
	request_ref(r);
	client_charge_request(r->client);
	d->tally.activity++;
	scheduler_add(&d->scheduler, r->version->work);
	dispatch_wake(d);
	return 0;
}

static void note_cancel(struct request *r)
{
	if (!r->silent)
		version_note_cancel(r->version, r->deadline_ns);
}

/* Nobody wants its answer, and others need not wait for that. */
static void silence(struct request *r)
{
	bool answered = r->kept && r->state == REQUEST_LEAVING;

	if (!r->kept)
		note_cancel(r);
	r->silent = true;
	if (!list_empty(&r->order_node)) {
		ordering_leave(r);
		scheduler_add(&r->dispatch->scheduler, r->version->work);
		dispatch_wake(r->dispatch);
	}
	if (answered)
		request_drop(r);
	else
		give_up(r);
}

void request_cancel(struct request *r)
{
	switch (r->state) {
	case REQUEST_NEW:
		request_discard(r);
		break;
	case REQUEST_EARLY:
		note_cancel(r);
		early_drop(r);
		break;
	case REQUEST_QUEUED:
		note_cancel(r);
		dispatch_wake(r->dispatch);
		queue_remove(&r->version->work->queue, r);
		request_drop(r);
		break;
	case REQUEST_SENT:
	case REQUEST_LEAVING:
		silence(r);
		break;
	case REQUEST_DONE:
	case REQUEST_STATES_:
		break;
	}
}

bool request_withdraw(struct request *r)
{
	if (r->state == REQUEST_SENT || (r->state == REQUEST_LEAVING && !r->kept)) {
		r->withdrawn = true;
		give_up(r);
		return false;
	}
	request_cancel(r);
	return true;
}
