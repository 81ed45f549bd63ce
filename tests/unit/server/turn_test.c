/* turn_test.c: what is called in an iteration of the loop, and what of it is counted. */
#include "turn.h"

#include <criterion/criterion.h>

#include "base/clock.h"

static struct bed {
	uv_loop_t loop;
	struct turn turn;
	uv_timer_t timer;
	unsigned n_moves, n_rests, n_asked;
	uint64_t activity;
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

static const struct turn_events events = {.move = move, .rest = rest, .activity = activity};

static void begin(uint32_t busy_poll_us)
{
	bed = (struct bed){.activity = 1};
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	turn_init(&bed.turn, &bed.loop, busy_poll_us, &events, &bed);
	uv_timer_init(&bed.loop, &bed.timer);
	turn_start(&bed.turn);
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
	const struct busy_poll *b = turn_busy_poll(&bed.turn);

	begin(UINT32_MAX); /* longer than this test takes anywhere */
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect_eq(b->n_spins, 0);
	for (unsigned i = 0; i < 3; i++)
		uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect(b->n_spins == 1 && b->n_paid == 0);
	bed.activity++;
	uv_run(&bed.loop, UV_RUN_NOWAIT);
	cr_expect(b->n_spins == 1 && b->n_paid == 1);
	end();
}
