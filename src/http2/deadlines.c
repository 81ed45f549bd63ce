/*
 * deadlines.c: a binary heap of deadlines on one uv_timer. The timer is only moved when a deadline
 * earlier than it is set; when the earliest one is cleared it fires for nothing once and looks again,
 * which is cheaper than a restart for each call that ends in time.
 *
 * Invariants: heap[d->place] == d for each that is set; no parent is later than its children; while
 * any is set, armed_ns <= heap[1]->at_ns. Daemon process, loop thread.
 */
#include "http2/deadlines.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static void place(struct deadlines *ds, size_t at, struct deadline *d)
{
	ds->heap[at] = d;
	d->place = at;
}

static void sift_up(struct deadlines *ds, size_t at, struct deadline *d)
{
	while (at > 1 && ds->heap[at / 2]->at_ns > d->at_ns) {
		place(ds, at, ds->heap[at / 2]);
		at /= 2;
	}
	place(ds, at, d);
}

static void sift_down(struct deadlines *ds, size_t at, struct deadline *d)
{
	for (;;) {
		size_t child = 2 * at;

		if (child > ds->n)
			break;
		if (child < ds->n && ds->heap[child + 1]->at_ns < ds->heap[child]->at_ns)
			child++;
		if (ds->heap[child]->at_ns >= d->at_ns)
			break;
		place(ds, at, ds->heap[child]);
		at = child;
	}
	place(ds, at, d);
}

/* d's time changed, or d is new at this place. */
static void settle(struct deadlines *ds, size_t at, struct deadline *d)
{
	if (at > 1 && ds->heap[at / 2]->at_ns > d->at_ns)
		sift_up(ds, at, d);
	else
		sift_down(ds, at, d);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct deadlines *ds)
{
	uint64_t at_ns = ds->n ? ds->heap[1]->at_ns : CLOCK_NO_DEADLINE;
	uint64_t ms;

	if (at_ns >= ds->armed_ns)
		return;
	ds->armed_ns = at_ns;
	ms = clock_ms_until(clock_ns(), at_ns);
	/* libuv runs what is due until nothing is, before it looks at any descriptor. */
	if (ds->firing && ms == 0)
		ms = 1;
	/* libuv counts from its cached time. */
	uv_update_time(ds->timer->loop);
	uv_timer_start(ds->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct deadlines *ds = timer->data;
	uint64_t now_ns = clock_ns();

	ds->armed_ns = CLOCK_NO_DEADLINE;
	ds->firing = true;
	while (ds->n && ds->heap[1]->at_ns <= now_ns) {
		struct deadline *d = ds->heap[1];

		deadline_clear(ds, d);
		d->on_due(d);
	}
	arm(ds);
	ds->firing = false;
}

static int grow(struct deadlines *ds)
{
	size_t cap = ds->cap ? 2 * ds->cap : 64;
	struct deadline **heap = realloc(ds->heap, cap * sizeof(struct deadline *));

	if (!heap)
		return -ENOMEM;
	ds->heap = heap;
	ds->cap = cap;
	return 0;
}

int deadlines_init(struct deadlines *ds, uv_loop_t *loop)
{
	*ds = (struct deadlines){.armed_ns = CLOCK_NO_DEADLINE};
	ds->timer = malloc(sizeof(*ds->timer));
	if (!ds->timer)
		return -ENOMEM;
	uv_timer_init(loop, ds->timer);
	ds->timer->data = ds;
	/* A few can always be set, the last words of a transport among them. */
	return grow(ds);
}

static void on_closed(uv_handle_t *timer)
{
	free(timer);
}

void deadlines_close(struct deadlines *ds)
{
	assert(ds->n == 0);
	free(ds->heap);
	ds->heap = NULL;
	ds->cap = 0;
	if (ds->timer)
		uv_close((uv_handle_t *)ds->timer, on_closed);
	ds->timer = NULL;
}

int deadline_set(struct deadlines *ds, struct deadline *d, uint64_t at_ns)
{
	size_t at = d->place;

	assert(d->on_due);
	if (!at) {
		int r = ds->n + 1 < ds->cap ? 0 : grow(ds);

		if (r)
			return r;
		at = ++ds->n;
	}
	d->at_ns = at_ns;
	settle(ds, at, d);
	arm(ds);
	return 0;
}

void deadline_clear(struct deadlines *ds, struct deadline *d)
{
	size_t at = d->place;
	struct deadline *last;

	if (!at)
		return;
	d->place = 0;
	last = ds->heap[ds->n--];
	if (last != d)
		settle(ds, at, last);
}
