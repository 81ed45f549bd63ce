/* input_arena_test.c: segments are made known, and go back to the host when they were idle. */
#include "dispatch/input_arena.h"

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "base/log.h"
#include "fake_pool.h"
#include "tests/support/failalloc.h"

#define MIB UINT64_C(1048576)

static uv_loop_t loop;
static struct pool *pool;
static struct input_arena a;
static unsigned left;

static const struct arena_options options = {
	.name = "test", .limit = 32 * MIB, .segment_bytes = MIB, .idle_ns = 1000};

static void on_left(void *data)
{
	cr_assert_eq(data, &left);
	left++;
}

static void setup(void)
{
	static const struct pool_settings settings = {0};

	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(pool_new(&pool, &loop, &settings, NULL, NULL), 0);
	uv_timer_init(&loop, &a.timer);
	cr_assert_eq(input_arena_init(&a, &loop, pool, &options, on_left, &left), 0);
}

static void teardown(void)
{
	input_arena_deinit(&a);
	cr_expect_eq(pool->segments, 0);
	uv_close((uv_handle_t *)&a.timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
	free(pool);
}

TestSuite(input_arena, .init = setup, .fini = teardown);

static struct span take(uint64_t length)
{
	struct span span;

	cr_assert_eq(arena_alloc(a.arena, length, &span), 0);
	input_arena_kick(&a);
	return span;
}

Test(input_arena, the_first_segment_is_known_and_needs_no_timer)
{
	struct span span = take(100);

	cr_expect_eq(pool->segments, 1);
	cr_expect_not(uv_is_active((uv_handle_t *)&a.timer));
	cr_expect_eq(arena_release(a.arena, &span), 0);
}

Test(input_arena, an_idle_one_is_closed_when_nobody_maps_it)
{
	struct span span = take(8 * MIB);
	struct stat st;
	int fd;

	cr_assert_eq(arena_populate_span(a.arena, &span), 0);
	cr_expect_eq(pool->segments, 2);
	cr_expect(uv_is_active((uv_handle_t *)&a.timer));
	uv_run(&loop, UV_RUN_ONCE);
	cr_expect_null(pool->leaving, "it is in use");
	cr_assert_eq(arena_release(a.arena, &span), 0);
	while (!pool->leaving)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(a.n_leaving, 1);
	cr_expect_eq(arena_n_segments(a.arena), 2, "workers may map it");
	fd = pool->leaving->fd;
	cr_assert_eq(fstat(fd, &st), 0);
	fake_segments_gone(pool);
	cr_expect_eq(arena_n_segments(a.arena), 1);
	while (left == 0)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(a.n_leaving, 0);
	cr_expect_eq(fstat(fd, &st), -1);
}

Test(input_arena, one_that_makes_way_leaves_too)
{
	struct span span = take(20 * MIB);

	cr_assert_eq(arena_release(a.arena, &span), 0);
	span = take(30 * MIB);
	cr_expect_eq(a.n_leaving, 1);
	cr_expect_not_null(pool->leaving);
	fake_segments_gone(pool);
	while (left == 0)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(arena_release(a.arena, &span), 0);
	while (!pool->leaving)
		uv_run(&loop, UV_RUN_ONCE);
	fake_segments_gone(pool);
	while (left == 1)
		uv_run(&loop, UV_RUN_ONCE);
}

static int live(void *arg)
{
	struct input_arena other = {0};
	struct span span;
	int r = input_arena_init(&other, &loop, pool, &options, on_left, &left);

	if (!r)
		r = arena_alloc(other.arena, 4 * MIB, &span);
	if (!r)
		r = arena_release(other.arena, &span);
	input_arena_deinit(&other);
	cr_assert_eq(pool->segments, 1);
	return r;
}

Test(input_arena, survives_faults)
{
	FAULT_LOOP(live, NULL);
}
