/*
 * turn.c: an iteration of the loop. Callbacks of sockets run inside of libuv's poll, so a turn begins where that says
 * it woke: its cached time, to the millisecond. libuv would say to the nanosecond what it slept, but polls twice
 * each time for that (UV_METRICS_IDLE_TIME).
 */
#include "turn.h"

#include "base/clock.h"

/* Does nothing: that it is active is what counts. */
static void on_idle(uv_idle_t *h)
{
	(void)h;
}

/* Of lone_poll_us a request may take: most of the rest is the worker's wake-up. */
#define QUICK_PARTS 4u

static enum turn_sought seek(const struct turn *t)
{
	uint64_t lone_ns;

	if (t->polls[TURN_ANYTHING].limit_ns > 0)
		return TURN_ANYTHING;
	lone_ns = t->events->lone_ns(t->data);
	if (lone_ns == 0)
		return t->sought == TURN_NOTHING ? TURN_NOTHING : TURN_REQUEST;
	return lone_ns <= t->polls[TURN_ANSWER].limit_ns / QUICK_PARTS ? TURN_ANSWER : TURN_NOTHING;
}

/* found: there was work in this turn, as it was sought or not. */
static struct busy_poll *next_poll(struct turn *t, bool found, uint64_t now_ns)
{
	struct busy_poll *b;

	if (found)
		busy_poll_work(&t->polls[t->sought], now_ns);
	t->sought = seek(t);
	b = &t->polls[t->sought];
	if (found)
		busy_poll_begin(b, now_ns);
	return b;
}

/* Sleep, or look again at once? */
static void set_spinning(struct turn *t)
{
	uint64_t activity = t->events->activity(t->data);
	uint64_t now_ns = clock_ns();
	bool found = activity != t->activity;
	struct busy_poll *b = next_poll(t, found, now_ns);

	t->activity = activity;
	t->vain = false;
	if (!busy_poll_spins(b, now_ns)) {
		uv_idle_stop(&t->idle);
		return;
	}
	uv_idle_start(&t->idle, on_idle);
	t->vain = !found;
	/* What others do meanwhile is no part of the turn. */
	if (!found)
		t->woke_ms += busy_poll_give_way(b) / NS_PER_MS;
}

/* A look in vain, of which there are many in a row, is no turn, unless something else has taken its time. */
static void measure(struct turn *t)
{
	uint64_t now_ms = clock_ns() / NS_PER_MS;

	if (!t->woke_ms || now_ms < t->woke_ms || (t->vain && now_ms == t->woke_ms))
		return;
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
	if (t->spins)
		set_spinning(t);
}

void turn_init(struct turn *t, uv_loop_t *loop, uint32_t busy_poll_us, uint32_t lone_poll_us,
	const struct turn_events *events, void *data)
{
	*t = (struct turn){
		.events = events, .data = data, .spins = busy_poll_us > 0 || lone_poll_us > 0};
	busy_poll_init(&t->polls[TURN_ANSWER], lone_poll_us);
	busy_poll_init(&t->polls[TURN_REQUEST], lone_poll_us);
	busy_poll_init(&t->polls[TURN_ANYTHING], busy_poll_us);
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

const struct busy_poll *turn_polls(const struct turn *t)
{
	return t->polls;
}

const struct histogram *turn_time(const struct turn *t)
{
	return &t->time;
}
