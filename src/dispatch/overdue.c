/* overdue.c: looks for models that nobody who calls now would get an answer of soon, and for answers that nobody
 * waits for. Daemon process, loop thread. */
#include "dispatch/overdue.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "dispatch/catalogue.h"
#include "dispatch/give_up.h"
#include "dispatch/scheduler.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/pool.h"

/* A batch may take so long. */
static uint64_t limit_ns(const struct work *w)
{
	uint64_t timeout_ms = w->version->settings.run_timeout_ms;
	uint64_t unknown_ns = timeout_ms > 0 ? timeout_ms * NS_PER_MS / 2 : CLOCK_NO_DEADLINE;
	uint64_t usual_ns = work_expectation(w, unknown_ns);
	uint64_t ns = w->batches_timed > 0 ? OVERDUE_TIMES * usual_ns : unknown_ns;

	return ns > OVERDUE_MIN_MS * NS_PER_MS ? ns : OVERDUE_MIN_MS * NS_PER_MS;
}

static void explain(struct work *w, uint64_t busy_ns)
{
	int n = snprintf(w->overdue, sizeof(w->overdue),
		"all of its instances have been busy with one batch each for %" PRIu64 " ms",
		busy_ns / NS_PER_MS);

	if (w->batches_timed > 0)
		snprintf(w->overdue + n, sizeof(w->overdue) - (size_t)n,
			", where %" PRIu64 " ms are usual",
			(w->compute_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static void look_at(struct overdue *o, struct version *v, uint64_t now_ns)
{
	struct work *w = v->work;
	bool was = w->overdue[0] != '\0';
	uint64_t busy_ns = w->in_flight > 0 ? pool_model_busy_ns(v->pool_model, now_ns) : 0;
	bool is = busy_ns > limit_ns(w);

	if (is)
		explain(w, busy_ns);
	else
		w->overdue[0] = '\0';
	o->n += is;
	if (is != was)
		catalogue_note(o->catalogue, v);
}

static void on_timer(uv_timer_t *timer)
{
	struct overdue *o = timer->data;
	const struct catalogue *c = o->catalogue;
	uint64_t now_ns = clock_ns();
	size_t n = c->n;

	o->armed = false;
	o->n = 0;
	give_up_late(&o->scheduler->sent, now_ns);
	/* A candidate that takes over makes the list shorter. */
	for (size_t i = 0; i < n && i < c->n; i++) {
		if (c->versions[i]->work)
			look_at(o, c->versions[i], now_ns);
	}
	overdue_turn(o, o->n > 0);
}

void overdue_init(struct overdue *o, uv_loop_t *loop, struct catalogue *c, struct scheduler *s)
{
	*o = (struct overdue){.catalogue = c, .scheduler = s};
	uv_timer_init(loop, &o->timer);
	o->timer.data = o;
}

void overdue_turn(struct overdue *o, bool in_flight)
{
	if (o->armed || !in_flight)
		return;
	o->armed = true;
	uv_timer_start(&o->timer, on_timer, OVERDUE_LOOK_MS, 0);
}

void overdue_close(struct overdue *o, uv_close_cb on_closed)
{
	uv_close((uv_handle_t *)&o->timer, on_closed);
}
