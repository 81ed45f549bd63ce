/* scheduler_wait.c: waiting for a worker, within limits. Daemon process, loop thread. */
#include "dispatch/scheduler_wait.h"

#include <inttypes.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

/* Waiting is of no use. */
static void fail_hopeless(
	struct scheduler *s, const struct version *v, struct request *r, uint64_t now_ns)
{
	const char *detail = version_detail(v);

	if (s->draining)
		request_fail(r, now_ns, GRPC_UNAVAILABLE, "%s", DISPATCH_ENDING_TEXT);
	else
		request_fail(r, now_ns, GRPC_UNAVAILABLE, "model '%s' %s%s%s", v->settings.name,
			version_unavailable_text(v), *detail ? ": " : "", detail);
}

void scheduler_wait(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	const struct dispatch_settings *settings = s->settings;
	bool hopeful = version_hopeful(w->version) && !s->draining;
	uint64_t wait_ns = clock_ms_to_ns(settings->retry_wait_ms);
	struct request *r;

	if (w->unready_since_ns == 0)
		w->unready_since_ns = now_ns;
	while ((r = queue_oldest(&w->queue))) {
		uint64_t since =
			r->queued_ns > w->unready_since_ns ? r->queued_ns : w->unready_since_ns;
		uint64_t until = clock_add(since, wait_ns);

		if (hopeful && until > now_ns) {
			s->wait_ns = until < s->wait_ns ? until : s->wait_ns;
			break;
		}
		queue_remove(&w->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		if (hopeful)
			request_fail(r, now_ns, GRPC_UNAVAILABLE,
				"model '%s' had no ready worker for %" PRIu64
				" ms ([dispatch] retry_wait_ms)%s%s",
				w->version->settings.name, settings->retry_wait_ms,
				*version_detail(w->version) ? ": " : "",
				version_detail(w->version));
		else
			fail_hopeless(s, w->version, r, now_ns);
	}
}

/* --- On a certain device ---------------------------------------------------------------------- */

static bool has_place(const struct scheduler *s, const struct work *w, const struct request *r)
{
	for (size_t i = 0; i < places_n(&s->places); i++) {
		const struct place *p = &s->places.list[i];

		if (place_suits(p, r) && worker_holds(p->worker, w->version->pool_model))
			return true;
	}
	return false;
}

/* The first of a list that has nowhere to go now; NULL: none. */
static struct request *first_stranded(
	const struct scheduler *s, const struct work *w, const struct list *requests)
{
	const char *fine = NULL;

	list_for_each (requests, node) {
		struct request *r = list_entry(node, struct request, age_node);

		if (!r->device || r->device == fine)
			continue;
		if (!has_place(s, w, r))
			return r;
		fine = r->device;
	}
	return NULL;
}

bool scheduler_wait_bound(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	uint64_t wait_ns = clock_ms_to_ns(s->settings->retry_wait_ms), since, until;
	struct request *r = NULL;
	bool any = false;

	if (w->queue.n_bound > 0)
		r = first_stranded(s, w, &w->queue.arrivals);
	if (r && w->unbound_since_ns == 0)
		w->unbound_since_ns = now_ns;
	for (; r; r = first_stranded(s, w, &w->queue.arrivals)) {
		since = r->queued_ns > w->unbound_since_ns ? r->queued_ns : w->unbound_since_ns;
		until = clock_add(since, wait_ns);
		if (until > now_ns && !s->draining) {
			s->wait_ns = until < s->wait_ns ? until : s->wait_ns;
			break;
		}
		queue_remove(&w->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		request_fail(r, now_ns, GRPC_UNAVAILABLE,
			"no worker on %s, where its tensors are, had model '%s' ready for %" PRIu64
			" ms ([dispatch] retry_wait_ms)",
			r->device, w->version->settings.name, s->settings->retry_wait_ms);
		any = true;
	}
	if (!r)
		w->unbound_since_ns = 0;
	return any;
}
