/* lazy_timer.c: see lazy_timer.h. Daemon process, loop thread. */
#include "pool/lazy_timer.h"

#include <assert.h>

#include "base/clock.h"

void lazy_timer_init(struct lazy_timer *t, uv_loop_t *loop, void (*on_due)(void *data), void *data)
{
	uv_timer_init(loop, &t->timer);
	t->timer.data = t;
	t->at_ns = CLOCK_NO_DEADLINE;
	t->on_due = on_due;
	t->data = data;
}

static void on_timer(uv_timer_t *timer)
{
	struct lazy_timer *t = timer->data;

	t->at_ns = CLOCK_NO_DEADLINE;
	t->on_due(t->data);
}

void lazy_timer_arm(struct lazy_timer *t, uint64_t at_ns)
{
	int r;

	if (at_ns >= t->at_ns)
		return;
	t->at_ns = at_ns;
	r = uv_timer_start(&t->timer, on_timer, clock_ms_until(clock_ns(), at_ns), 0);
	/* The only documented failure is a handle that is closing. */
	assert(r == 0);
	(void)r;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct lazy_timer *t = h->data;

	t->on_due(t->data);
}

void lazy_timer_close(struct lazy_timer *t, void (*on_closed)(void *data))
{
	uv_timer_stop(&t->timer);
	t->on_due = on_closed;
	uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}
