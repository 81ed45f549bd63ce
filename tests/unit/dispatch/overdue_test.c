/* Tests of overdue.c: a model that hangs everywhere does not serve, until it is over. */
#include "dispatch/overdue.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static struct answer answers[4];

static void setup(void)
{
	bed_init(&bed);
	bed.models[0].run_timeout_ms = 60000;
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(overdue, .init = setup, .fini = teardown);

/* Alpha's lanes have been busy for so long when it looks; returns whether it serves. */
static bool serves(uint64_t busy_ns)
{
	struct overdue *o = &bed.d->overdue;

	bed.pool->busy_ns[0] = busy_ns;
	uv_timer_start(&o->timer, o->timer.timer_cb, 0, 0);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	return version_serving(bed.alpha);
}

static void submit(void)
{
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
}

Test(overdue, a_few_times_the_usual_and_it_does_not_serve)
{
	unsigned events = bed.version_events;

	bed_expect(&bed, 500 * NS_PER_MS);
	submit();
	cr_expect(serves(2000 * NS_PER_MS));
	cr_expect_eq(bed.version_events, events);
	cr_expect_not(serves(2001 * NS_PER_MS));
	cr_expect_eq(bed.version_events, events + 1, "somebody is told");
	cr_expect(version_ready(bed.alpha), "it is scheduled all the same");
	cr_expect_str_eq(version_state_name(bed.alpha), "overdue");
	cr_expect_str_eq(version_detail(bed.alpha),
		"all of its instances have been busy with one batch each for 2001 ms, where 500 ms "
		"are usual");
	cr_expect_not(serves(9000 * NS_PER_MS));
	cr_expect_eq(bed.version_events, events + 1, "once");
	cr_expect(version_serving(bed.beta));
	/* One lane is free again, though batches are in flight. */
	cr_expect(serves(0));
	cr_expect_eq(bed.version_events, events + 2);
	cr_expect_str_eq(version_state_name(bed.alpha), "ready");
	cr_expect_str_eq(version_detail(bed.alpha), "");
}

Test(overdue, quick_ones_have_a_second)
{
	bed_expect(&bed, 5 * NS_PER_US);
	submit();
	cr_expect(serves(1000 * NS_PER_MS));
	cr_expect_not(serves(1001 * NS_PER_MS));
	/* All is answered. */
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect(serves(1002 * NS_PER_MS), "nothing is in flight");
}

Test(overdue, where_nobody_knows_half_of_its_time_limit)
{
	bed_expect(&bed, 0);
	submit();
	cr_expect(serves(30 * NS_PER_S));
	cr_expect_not(serves(30 * NS_PER_S + 1));
	cr_expect_null(strstr(version_detail(bed.alpha), "usual"));
}

Test(overdue, without_a_time_limit_nobody_can_say)
{
	bed_expect(&bed, 0);
	bed.alpha->settings.run_timeout_ms = 0;
	submit();
	cr_expect(serves(3600 * NS_PER_S));
}

Test(overdue, it_looks_while_anything_is_in_flight_or_overdue)
{
	struct overdue *o = &bed.d->overdue;

	bed_turn(&bed);
	cr_expect_not(o->armed);
	submit();
	cr_expect(o->armed);
	cr_expect_not(serves(60 * NS_PER_S));
	cr_expect(o->armed);
	cr_expect_eq(o->n, 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect(serves(0));
	cr_expect_not(o->armed);
}

/* Its caller waits for the worker, not for the clock. */
Test(overdue, what_runs_past_its_deadline_is_given_up)
{
	struct request *r = bed_request(
		&bed, bed.alpha, bed.client, 1, clock_ns() + 100 * NS_PER_S, &answers[0]);

	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	submit();
	cr_assert_eq(fake_first(bed.pool, NULL)->n_items, 2);
	serves(0);
	r->deadline_ns = clock_ns();
	serves(0);
	cr_expect_not(fake_first(bed.pool, NULL)->cancelled, "another one still waits");
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_CANCELLED);
	cr_expect_eq(answers[0].n, 2);
	request_unref(r);
	r = bed_request(&bed, bed.alpha, bed.client, 1, clock_ns() + 100 * NS_PER_S, &answers[1]);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	bed_turn(&bed);
	serves(0);
	cr_expect_not(fake_first(bed.pool, NULL)->cancelled);
	r->deadline_ns = clock_ns();
	serves(0);
	serves(0);
	cr_expect(fake_first(bed.pool, NULL)->cancelled);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_CANCELLED);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[1].status, GRPC_DEADLINE_EXCEEDED);
	request_unref(r);
}
