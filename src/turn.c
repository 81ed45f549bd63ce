/*
 * turn.c: an iteration of the loop. Callbacks of sockets run inside of libuv's poll, so a turn begins where that says
 * it woke: its cached time, to the millisecond. libuv would say to the nanosecond what it slept, but polls twice
 * each time for that (UV_METRICS_IDLE_TIME).
 */
#include "turn.h"

#include <sched.h>

#include "base/clock.h"

/* Does nothing: that it is active is what counts. */
static void on_idle(uv_idle_t *h)
{
	(void)h;
}

/* Who is waited for may have no other CPU than this one. What others do with it meanwhile is no part of the turn. */
static void give_way(struct turn *t, uint64_t now_ns)
{
	sched_yield();
	t->woke_ms += (clock_ns() - now_ns) / NS_PER_MS;
}

/* Sleep, or look again at once? */
static void set_spinning(struct turn *t)
{
	uint64_t activity = t->events->activity(t->data);
	uint64_t now_ns = clock_ns();
	bool found = activity != t->activity;

	if (found)
		busy_poll_work(&t->busy, now_ns);
	t->activity = activity;
	if (!busy_poll_spins(&t->busy, now_ns)) {
		uv_idle_stop(&t->idle);
		return;
	}
	uv_idle_start(&t->idle, on_idle);
	if (!found)
		give_way(t, now_ns);
}

static void measure(struct turn *t)
{
	uint64_t now_ms = clock_ns() / NS_PER_MS;

	if (t->woke_ms && now_ms >= t->woke_ms)
		histogram_add(&t->time, HISTOGRAM_SHIFT_NS, (now_ms - t->woke_ms) * NS_PER_MS);
}

static void on_prepare(uv_prepare_t *h)
{
	struct turn *t = h->data;

	t->events->move(t->data);
	t->events->rest(t->data);
	measure(t);
}

static void on_check(uv_check_t *h)
{
	struct turn *t = h->data;

	t->woke_ms = uv_now(h->loop);
	t->events->move(t->data);
	if (t->busy.limit_ns > 0)
		set_spinning(t);
}

void turn_init(struct turn *t, uv_loop_t *loop, uint32_t busy_poll_us,
	const struct turn_events *events, void *data)
{
	*t = (struct turn){.events = events, .data = data};
	busy_poll_init(&t->busy, busy_poll_us);
	uv_prepare_init(loop, &t->prepare);
	uv_check_init(loop, &t->check);
	uv_idle_init(loop, &t->idle);
	t->prepare.data = t->check.data = t;
}

void turn_start(struct turn *t)
{
	uv_prepare_start(&t->prepare, on_prepare);
	uv_check_start(&t->check, on_check);
}

void turn_close(struct turn *t)
{
	uv_close((uv_handle_t *)&t->prepare, NULL);
	uv_close((uv_handle_t *)&t->check, NULL);
	uv_close((uv_handle_t *)&t->idle, NULL);
}

const struct busy_poll *turn_busy_poll(const struct turn *t)
{
	return &t->busy;
}

const struct histogram *turn_time(const struct turn *t)
{
	return &t->time;
}
