/* early.c: whoever asks before a model is loaded waits for that. Daemon process, loop thread. */
#include "dispatch/early.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "dispatch/admit.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

void early_init(struct early *e, uint64_t retry_wait_ms, void (*wake)(void *data), void *data)
{
	*e = (struct early){.retry_wait_ms = retry_wait_ms,
		.wait_ns = CLOCK_NO_DEADLINE,
		.wake = wake,
		.data = data};
	list_init(&e->requests);
}

static bool is_worth_waiting(const struct version *v)
{
	return !v->retired && !version_declared(v) && version_hopeful(v);
}

static uint64_t until_ns(const struct early *e, const struct request *r)
{
	uint64_t until = clock_add(r->queued_ns, clock_ms_to_ns(e->retry_wait_ms));

	return r->deadline_ns < until ? r->deadline_ns : until;
}

static void wait_until(struct early *e, uint64_t ns)
{
	if (ns < e->wait_ns)
		e->wait_ns = ns;
}

/* --- In --------------------------------------------------------------------------------------- */

static void enter(struct dispatch *d, struct request *r)
{
	struct early *e = &d->early;

	r->dispatch = d;
	r->queued_ns = r->times.submitted_ns;
	request_set_state(r, REQUEST_EARLY);
	request_ref(r);
	client_charge_request(r->client);
	r->version->work->n_early++;
	list_push_back(&e->requests, &r->node);
	wait_until(e, until_ns(e, r));
	e->wake(e->data);
}

int dispatch_hold(struct dispatch *d, struct request *r, void (*on_end)(void *data))
{
	int e;

	assert(r->state == REQUEST_NEW);
	if (d->state != DISPATCH_OPEN || !is_worth_waiting(r->version) ||
		d->early.retry_wait_ms == 0)
		return DISPATCH_E_NOT_HELD;
	r->times.submitted_ns = clock_ns();
	if (r->deadline_ns <= r->times.submitted_ns)
		return DISPATCH_E_NOT_HELD;
	e = admit_limits(r, d->settings->max_requests_per_client);
	if (e) {
		version_note_refusal(r->version);
		request_discard(r);
		return e;
	}
	r->on_end = on_end;
	enter(d, r);
	return 0;
}

/* --- Out -------------------------------------------------------------------------------------- */

void early_drop(struct request *r)
{
	assert(r->state == REQUEST_EARLY);
	list_remove(&r->node);
	r->version->work->n_early--;
	request_drop(r);
}

static void end(struct request *r)
{
	void (*on_end)(void *data) = r->on_end;
	void *data = r->data;

	early_drop(r);
	on_end(data);
}

/* It has waited long enough. */
static void refuse(const struct early *e, struct request *r, uint64_t now_ns)
{
	const struct version *v = r->version;
	const char *detail = version_detail(v);
	int refused;

	if (r->deadline_ns <= now_ns)
		refused = request_refuse(r, GRPC_DEADLINE_EXCEEDED,
			"deadline passed after %" PRIu64
			" ms, in which model '%s' was not loaded yet%s%s",
			(now_ns - r->queued_ns) / NS_PER_MS, v->settings.name, *detail ? ": " : "",
			detail);
	else
		refused = request_refuse(r, GRPC_UNAVAILABLE,
			"model '%s' was not loaded within %" PRIu64
			" ms ([dispatch] retry_wait_ms)%s%s",
			v->settings.name, e->retry_wait_ms, *detail ? ": " : "", detail);
	assert(refused == DISPATCH_E_REFUSED);
	(void)refused;
	version_note_refusal(r->version);
}

static void look_at(struct early *e, struct request *r, uint64_t now_ns)
{
	bool waits = !e->closed && is_worth_waiting(r->version);

	if (waits && until_ns(e, r) > now_ns) {
		list_remove(&r->node);
		list_push_back(&e->requests, &r->node);
		wait_until(e, until_ns(e, r));
		return;
	}
	if (waits)
		refuse(e, r, now_ns);
	end(r);
}

void early_run(struct early *e, uint64_t now_ns)
{
	struct list *node;
	struct list all;

	if (list_empty(&e->requests) || (!e->changed && !e->closed && now_ns < e->wait_ns))
		return;
	e->changed = false;
	e->wait_ns = CLOCK_NO_DEADLINE;
	list_init(&all);
	while ((node = list_first(&e->requests))) {
		list_remove(node);
		list_push_back(&all, node);
	}
	/* Others of them may be given up meanwhile. */
	while ((node = list_first(&all)))
		look_at(e, list_entry(node, struct request, node), now_ns);
}
