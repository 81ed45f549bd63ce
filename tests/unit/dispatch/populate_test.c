/* Tests of populate.c: chunk after chunk on the thread pool, until it is stopped. */
#include "dispatch/populate.h"

#include <criterion/criterion.h>

#include "base/log.h"

#define MIB (UINT64_C(1) << 20)

static uv_loop_t loop;
static struct arena *arena;
static struct populate p;
static unsigned idle;

static void on_idle(void *data)
{
	cr_assert_eq(data, &loop);
	cr_assert_not(p.busy);
	idle++;
}

static void open_arena(uint64_t ahead)
{
	const struct arena_options options = {
		.name = "test", .id = 1, .size = 32 * MIB, .populate_ahead = ahead};

	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(arena_new(&arena, &options), 0);
	populate_init(&p, &loop, arena, on_idle, &loop);
}

static void teardown(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	arena_free(arena);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(populate, .fini = teardown);

Test(populate, fills_up_to_what_is_wanted_ahead)
{
	open_arena(20 * MIB);
	populate_kick(&p);
	cr_expect(p.busy);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_not(p.busy);
	cr_expect(arena_touched(arena) >= 20 * MIB);
	cr_expect_eq(idle, 0);
}

Test(populate, follows_the_frontier)
{
	struct span span;

	open_arena(8 * MIB);
	populate_kick(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(arena_alloc(arena, 16 * MIB, &span), 0);
	populate_kick(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect(arena_touched(arena) >= 24 * MIB);
	cr_expect_eq(arena_release(arena, &span), 0);
}

Test(populate, one_chunk_at_a_time)
{
	open_arena(32 * MIB);
	populate_kick(&p);
	cr_assert(p.busy);
	populate_kick(&p);
	cr_expect_eq(p.offset, 0);
	cr_expect(p.length <= 8 * MIB);
}

Test(populate, stopped_it_ends_after_the_chunk)
{
	open_arena(32 * MIB);
	populate_kick(&p);
	cr_assert(p.busy);
	populate_stop(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(idle, 1);
	cr_expect(arena_touched(arena) <= 8 * MIB);
	populate_kick(&p);
	cr_expect_not(p.busy);
}

Test(populate, nothing_wanted_nothing_done)
{
	open_arena(0);
	populate_kick(&p);
	cr_expect_not(p.busy);
	populate_stop(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(idle, 0);
}
