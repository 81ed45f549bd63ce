/* turn_test.c: what is called in an iteration of the loop, and what of it is counted. */
#include "turn.h"

#include <criterion/criterion.h>

#include "base/clock.h"

static struct bed {
	uv_loop_t loop;
	struct turn turn;
	uv_timer_t timer;
	unsigned n_moves, n_rests, n_asked;
	uint64_t activity, lone_ns;
	uint64_t work_ns; /* that each rest takes */
} bed;

static void move(void *data)
{
	cr_assert_eq(data, &bed);
	bed.n_moves++;
}

static void rest(void *data)
{
	uint64_t end_ns = clock_ns() + bed.work_ns;

	cr_assert_eq(data, &bed);
	bed.n_rests++;
	while (clock_ns() < end_ns)
		;
}

static uint64_t activity(void *data)
{
	cr_assert_eq(data, &bed);
	bed.n_asked++;
	return bed.activity;
}

static uint64_t lone_ns(void *data)
{
	cr_assert_eq(data, &bed);
	return bed.lone_ns;
}

static const struct turn_events events = {
	.move = move, .rest = rest, .activity = activity, .lone_ns = lone_ns};

static void begin_with(uint32_t busy_poll_us, uint32_t lone_poll_us)
{
	bed = (struct bed){.activity = 1, .lone_ns = UINT64_MAX};
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	turn_init(&bed.turn, &bed.loop, busy_poll_us, lone_poll_us, &events, &bed);
	uv_timer_init(&bed.loop, &bed.timer);
	turn_start(&bed.turn);
}

static void begin(uint32_t busy_poll_us)
{
	begin_with(busy_poll_us, 0);
}

static void end(void)
{
	turn_close(&bed.turn);
	uv_close((uv_handle_t *)&bed.timer, NULL);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
}

static uint64_t n_counted(unsigned from)
{
	const struct histogram *h = turn_time(&bed.turn);
	uint64_t n = 0;

	for (unsigned i = from; i < HISTOGRAM_BUCKETS; i++)
		n += h->counts[i];
	return n;
}

Test(turn, moves_before_and_after_polling)
{
	begin(0);
	for (unsigned i = 0; i < 5; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.n_moves, 10);
	cr_expect_eq(bed.n_rests, 5);
	cr_expect_eq(bed.n_asked, 0);
	cr_expect_leq(n_counted(0), 4);
	end();
}

static void on_timer(uv_timer_t *t)
{
	uv_stop(t->loop);
}

Test(turn, work_is_counted_and_sleep_is_not)
{
	uint64_t due_ms;

	begin(0);
	bed.work_ns = 3 * NS_PER_MS;
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	/* The second turn: more than 2.1 ms. */
	cr_expect_eq(n_counted(12), 1);
	cr_expect_geq(turn_time(&bed.turn)->sum, 3 * NS_PER_MS);
	end();

	begin(0);
	due_ms = uv_now(&bed.loop) + 300;
	uv_timer_start(&bed.timer, on_timer, 300, 0);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	/* However slow this machine is: what the loop slept is no part of it. Each end is rounded. */
	cr_expect_leq(turn_time(&bed.turn)->sum / NS_PER_MS + due_ms, clock_ns() / NS_PER_MS + 2);
	end();
}

Test(turn, who_spins_asks_for_work)
{
	begin(1000);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(bed.n_asked, 1);
	cr_expect(uv_is_active((uv_handle_t *)&bed.turn.idle));
	end();
}

Test(turn, spins_are_counted_from_the_second_look_on)
{
	const struct busy_poll *b = &turn_polls(&bed.turn)[TURN_ANYTHING];

	begin(UINT32_MAX); /* longer than this test takes anywhere */
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(b->n_spins, 0);
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect(b->n_spins == 1 && b->n_paid == 0);
	bed.activity++;
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect(b->n_spins == 1 && b->n_paid == 1);
	end();
}

/* What it seeks when there was work, or not; whether it may look on by the clock is busy_poll.c's. */
static enum turn_sought sought_after(bool work, uint64_t lone)
{
	bed.activity += work;
	bed.lone_ns = lone;
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	return bed.turn.sought;
}

Test(turn, looks_for_who_is_alone)
{
	const uint64_t quick = 10 * NS_PER_US, slow = UINT32_MAX * NS_PER_US / 2;
	const struct busy_poll *polls = turn_polls(&bed.turn);

	begin_with(0, UINT32_MAX); /* longer than this test takes anywhere */
	cr_expect_eq(sought_after(true, 0), TURN_NOTHING);
	cr_expect_eq(sought_after(true, UINT64_MAX), TURN_NOTHING, "several run");
	cr_expect_eq(sought_after(true, slow), TURN_NOTHING);
	cr_expect_eq(sought_after(true, 0), TURN_NOTHING, "it was answered, and was not quick");
	cr_expect(!uv_is_active((uv_handle_t *)&bed.turn.idle));
	cr_expect_eq(sought_after(true, quick), TURN_ANSWER);
	cr_expect(uv_is_active((uv_handle_t *)&bed.turn.idle));
	cr_expect_eq(polls[TURN_ANSWER].n_spins, 0);
	cr_expect_eq(sought_after(false, quick), TURN_ANSWER);
	cr_expect_eq(polls[TURN_ANSWER].n_spins, 1);
	cr_expect_eq(sought_after(true, 0), TURN_REQUEST);
	cr_expect_eq(polls[TURN_ANSWER].n_paid, 1);
	cr_expect_eq(sought_after(false, 0), TURN_REQUEST);
	cr_expect_eq(sought_after(true, UINT64_MAX), TURN_NOTHING, "others came");
	cr_expect_eq(polls[TURN_REQUEST].n_paid, polls[TURN_REQUEST].n_spins);
	cr_expect_eq(sought_after(true, 0), TURN_NOTHING, "they were answered");
	end();
}

Test(turn, looks_in_vain_are_no_turns)
{
	unsigned n_vain = 0;

	begin(UINT32_MAX);
	for (unsigned i = 0; i < 1000; i++) {
		n_vain += bed.turn.vain;
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	}
	/* Some may have taken a millisecond, when others had the processor, or not have spun then. */
	cr_expect_gt(n_vain, 0);
	cr_expect_leq(n_counted(0), 1000 - n_vain + n_vain / 2);
	end();
}
