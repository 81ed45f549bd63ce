/* watchdog.c: looks for a request that nobody looks after. Daemon process, loop thread. */
#include "dispatch/watchdog.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

#define WATCH_MS       500
#define WATCH_AGAIN_MS 50

static void log_place(const struct place *p, const struct work *w, uint64_t now_ns)
{
	const struct pool_model *m = w->version->pool_model;
	struct lane_backlog lane = {0};

	if (worker_holds(p->worker, m))
		lane = worker_lane_backlog(p->worker, m, now_ns);
	log_error("stalled: worker",
		"worker=%s state=%s in_flight=%" PRIu32 " free_slots=%" PRIu32 " load_us=%" PRIu64
		" lane_in_flight=%" PRIu32 " lane_us=%" PRIu64 " exclusive=%d reserved=%d",
		worker_name(p->worker), worker_state_name(worker_get_state(p->worker)),
		worker_in_flight(p->worker), worker_free_slots(p->worker),
		worker_backlog_ns(p->worker, now_ns) / NS_PER_US, lane.n, lane.ns / NS_PER_US,
		p->exclusive != NULL, p->reserved != NULL);
}

static void log_state(const struct watchdog *d, const struct work *w, uint64_t now_ns)
{
	const struct scheduler *s = d->scheduler;

	log_error("stalled: a request waits although a worker is free",
		"model=%s version=%s queued=%" PRIu32 " suspects=%" PRIu32 " waited_ms=%" PRIu64
		" in_flight=%" PRIu32 " batches=%" PRIu64 " turns=%" PRIu64 " works=%" PRIu32
		" listed=%d spare=%d",
		w->version->settings.name, w->version->settings.version, w->queue.n,
		w->queue.n_suspects, (now_ns - d->oldest_ns) / NS_PER_MS, w->in_flight,
		w->version->counters.batches, d->turns - d->turn, s->n_work, !list_empty(&w->node),
		!list_empty(&s->spare));
	for (size_t i = 0; i < places_n(&s->places); i++)
		log_place(&s->places.list[i], w, now_ns);
}

/* The same request as before, and nothing was sent since, for full turns. */
static bool is_stall(const struct watchdog *d, const struct work *w, uint64_t oldest_ns)
{
	return d->work == w && d->oldest_ns == oldest_ns &&
	       d->batches == w->version->counters.batches && d->turns - d->turn >= 2;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct watchdog *d, uint64_t ms)
{
	d->armed = true;
	uv_timer_start(&d->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct watchdog *d = timer->data;
	uint64_t now_ns = clock_ns();
	const struct work *w = scheduler_runnable(d->scheduler, now_ns);
	uint64_t oldest_ns = w ? queue_oldest(&w->queue)->queued_ns : 0;

	d->armed = false;
	if (w && is_stall(d, w, oldest_ns)) {
		if (d->stalls++ == 0)
			log_state(d, w, now_ns);
		d->work = NULL;
		d->wake(d->data);
		return;
	}
	d->work = w;
	if (!w)
		return;
	d->oldest_ns = oldest_ns;
	d->batches = w->version->counters.batches;
	d->turn = d->turns;
	arm(d, WATCH_AGAIN_MS);
}

void watchdog_init(struct watchdog *d, uv_loop_t *loop, struct scheduler *s,
	void (*wake)(void *data), void *data)
{
	*d = (struct watchdog){.scheduler = s, .wake = wake, .data = data};
	uv_timer_init(loop, &d->timer);
	d->timer.data = d;
}

void watchdog_turn(struct watchdog *d, bool waiting)
{
	d->turns++;
	if (waiting && !d->armed)
		arm(d, WATCH_MS);
}

void watchdog_close(struct watchdog *d, uv_close_cb on_closed)
{
	uv_close((uv_handle_t *)&d->timer, on_closed);
}
