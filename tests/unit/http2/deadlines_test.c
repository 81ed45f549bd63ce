/* deadlines_test.c: the heap of deadlines, against a plain list. */
#include "http2/deadlines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define N 500u

static struct deadlines ds;
static uv_loop_t loop;
static struct deadline all[N];
static unsigned n_due;
static uint64_t last_ns;

static void on_due(struct deadline *d)
{
	cr_assert_not(deadline_is_set(d));
	cr_assert_leq(d->at_ns, clock_ns());
	cr_assert_geq(d->at_ns, last_ns);
	last_ns = d->at_ns;
	n_due++;
}

static void set_up(void)
{
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(deadlines_init(&ds, &loop), 0);
	for (unsigned i = 0; i < N; i++)
		all[i] = (struct deadline){.on_due = on_due};
}

static void tear_down(void)
{
	deadlines_close(&ds);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(deadlines, .init = set_up, .fini = tear_down);

Test(deadlines, in_order_and_never_early)
{
	uint64_t base_ns = clock_ns();

	srand(1);
	for (unsigned i = 0; i < N; i++)
		cr_assert_eq(
			deadline_set(&ds, &all[i], base_ns + (uint64_t)rand() % (20 * NS_PER_MS)),
			0);
	while (n_due < N)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(ds.n, 0);
}

Test(deadlines, moved_and_cleared)
{
	uint64_t base_ns = clock_ns();
	unsigned n_set = 0;

	srand(2);
	for (unsigned turn = 0; turn < 20 * N; turn++) {
		struct deadline *d = &all[(unsigned)rand() % N];

		if (rand() % 3 == 0)
			deadline_clear(&ds, d);
		else
			cr_assert_eq(
				deadline_set(&ds, d, base_ns + (uint64_t)rand() % (30 * NS_PER_MS)),
				0);
		for (size_t i = 2; turn % 100 == 0 && i <= ds.n; i++)
			cr_assert_leq(ds.heap[i / 2]->at_ns, ds.heap[i]->at_ns);
	}
	for (unsigned i = 0; i < N; i++)
		n_set += deadline_is_set(&all[i]);
	cr_assert_eq(n_set, ds.n);
	while (n_due < n_set)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(ds.n, 0);
}

Test(deadlines, clearing_twice_is_harmless)
{
	deadline_clear(&ds, &all[0]);
	cr_assert_eq(deadline_set(&ds, &all[0], clock_ns()), 0);
	deadline_clear(&ds, &all[0]);
	deadline_clear(&ds, &all[0]);
	uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(n_due, 0);
}

static void set_again(struct deadline *d)
{
	if (++n_due < 5)
		cr_assert_eq(deadline_set(&ds, d, clock_ns() + NS_PER_MS), 0);
}

Test(deadlines, set_from_inside)
{
	all[0].on_due = set_again;
	cr_assert_eq(deadline_set(&ds, &all[0], clock_ns()), 0);
	while (n_due < 5)
		uv_run(&loop, UV_RUN_ONCE);
}

static bool polled;

static void on_check(uv_check_t *check)
{
	polled = true;
}

static void set_again_now(struct deadline *d)
{
	n_due++;
	cr_assert_eq(deadline_set(&ds, d, clock_ns()), 0);
}

/* Who wants to go on at once does not keep the loop from its descriptors. */
Test(deadlines, loop_polls_in_between, .timeout = 30)
{
	uv_check_t check;

	uv_check_init(&loop, &check);
	uv_check_start(&check, on_check);
	all[0].on_due = set_again_now;
	cr_assert_eq(deadline_set(&ds, &all[0], clock_ns()), 0);
	while (n_due < 3) {
		unsigned before = n_due;

		polled = false;
		uv_run(&loop, UV_RUN_ONCE);
		cr_assert(polled);
		cr_assert_leq(
			n_due - before, 2); /* before polling, and what became due meanwhile */
	}
	deadline_clear(&ds, &all[0]);
	uv_close((uv_handle_t *)&check, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

Test(deadlines, memory_may_go_at_once)
{
	struct deadlines *other = malloc(sizeof(*other));

	cr_assert(other);
	cr_assert_eq(deadlines_init(other, &loop), 0);
	deadlines_close(other);
	memset(other, 0xee, sizeof(*other));
	uv_run(&loop, UV_RUN_NOWAIT);
	free(other);
}
