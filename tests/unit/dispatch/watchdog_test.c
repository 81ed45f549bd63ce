/* Tests of watchdog.c: it sees what nobody looks after, and nothing else. */
#include "dispatch/watchdog.h"

#include <criterion/criterion.h>

#include "fake_bed.h"

static struct bed bed;
static struct answer answers[4];

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(watchdog, .init = setup, .fini = teardown);

/* It looks now, and the loop turns twice. */
static void look(void)
{
	struct watchdog *w = &bed.d->watchdog;

	cr_assert(w->armed);
	uv_timer_start(&w->timer, w->timer.timer_cb, 0, 0);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	dispatch_schedule(bed.d);
	dispatch_schedule(bed.d);
}

/* As if whoever had to wake the scheduler had forgotten it. */
static void forget_to_wake(void)
{
	bed.d->dirty = false;
	uv_idle_stop(&bed.d->idle);
}

Test(watchdog, a_request_that_nobody_looks_after_is_found_and_sent)
{
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	forget_to_wake();
	for (int i = 0; i < 5; i++)
		bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0, "it is forgotten");
	look();
	cr_expect_eq(dispatch_stalls(bed.d), 0, "it was seen once");
	look();
	cr_expect_eq(dispatch_stalls(bed.d), 1);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 1);
}

Test(watchdog, what_has_just_come_is_none)
{
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	forget_to_wake();
	bed_turn(&bed);
	uv_timer_start(&bed.d->watchdog.timer, bed.d->watchdog.timer.timer_cb, 0, 0);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(dispatch_stalls(bed.d), 0);
	cr_expect_eq(bed.d->watchdog.work, bed.alpha->work, "it was seen once");
}

Test(watchdog, what_waits_for_a_worker_is_none)
{
	for (int i = 0; i < 4; i++) {
		request_unref(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
		bed_turn(&bed);
	}
	cr_assert_eq(bed.pool->workers[0].in_flight, 2);
	look();
	look();
	cr_expect_eq(dispatch_stalls(bed.d), 0);
}

Test(watchdog, it_sleeps_when_nothing_is_queued)
{
	bed_turn(&bed);
	cr_expect_not(bed.d->watchdog.armed);
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_not(bed.d->watchdog.armed, "it was sent at once");
}
