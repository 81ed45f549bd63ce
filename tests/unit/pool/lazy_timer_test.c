/* lazy_timer_test.c: it goes off once for the earliest thing that is due. */
#include "pool/lazy_timer.h"

#include <criterion/criterion.h>

#include "base/clock.h"

struct rig {
	uv_loop_t loop;
	struct lazy_timer timer;
	uint32_t n_due;
	uint64_t again_ns; /* armed for by on_due; CLOCK_NO_DEADLINE: not */
	bool closed;
};

static void on_due(void *data)
{
	struct rig *g = data;

	g->n_due++;
	lazy_timer_arm(&g->timer, g->again_ns);
	g->again_ns = CLOCK_NO_DEADLINE;
}

static void rig_init(struct rig *g)
{
	*g = (struct rig){.again_ns = CLOCK_NO_DEADLINE};
	cr_assert_eq(uv_loop_init(&g->loop), 0);
	lazy_timer_init(&g->timer, &g->loop, on_due, g);
}

static void on_closed(void *data)
{
	struct rig *g = data;

	g->closed = true;
}

static void rig_deinit(struct rig *g)
{
	lazy_timer_close(&g->timer, on_closed);
	cr_expect_not(g->closed, "not from inside the call");
	uv_run(&g->loop, UV_RUN_DEFAULT);
	cr_expect(g->closed);
	cr_assert_eq(uv_loop_close(&g->loop), 0);
}

/*
 * The loop ends when nothing is armed any more. It counts from when it last looked at the clock, which may be as long
 * ago as the rig has been there: so much too early it may go off.
 */
Test(lazy_timer, the_earliest_counts)
{
	struct rig g;
	uint64_t now_ns = clock_ns(), early_ns;

	rig_init(&g);
	lazy_timer_arm(&g.timer, now_ns + 1000 * NS_PER_S);
	lazy_timer_arm(&g.timer, now_ns + 100 * NS_PER_MS);
	lazy_timer_arm(&g.timer, now_ns + 2000 * NS_PER_S);
	lazy_timer_arm(&g.timer, CLOCK_NO_DEADLINE);
	early_ns = clock_ns() - now_ns + NS_PER_MS;
	cr_expect_eq(g.timer.at_ns, now_ns + 100 * NS_PER_MS);
	uv_run(&g.loop, UV_RUN_DEFAULT);
	cr_expect_eq(g.n_due, 1, "nothing else is armed");
	cr_expect_geq(clock_ns() + early_ns, now_ns + 100 * NS_PER_MS);
	cr_expect_eq(g.timer.at_ns, CLOCK_NO_DEADLINE);
	rig_deinit(&g);
}

/* Not from inside the call, and as often as it is armed anew. */
Test(lazy_timer, at_once_is_the_next_turn)
{
	struct rig g;

	rig_init(&g);
	lazy_timer_arm(&g.timer, 0);
	lazy_timer_arm(&g.timer, 0);
	cr_expect_eq(g.n_due, 0);
	g.again_ns = 0;
	uv_run(&g.loop, UV_RUN_DEFAULT);
	cr_expect_eq(g.n_due, 2);
	rig_deinit(&g);
}

Test(lazy_timer, what_is_closed_does_not_go_off)
{
	struct rig g;

	rig_init(&g);
	lazy_timer_arm(&g.timer, 0);
	rig_deinit(&g);
	cr_expect_eq(g.n_due, 0);
}
