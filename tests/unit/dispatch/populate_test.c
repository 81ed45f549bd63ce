/* Tests of populate.c: chunk after chunk on the thread pool, until it is stopped. */
#include "dispatch/populate.h"

#include <criterion/criterion.h>

#include "base/log.h"
#include "tests/support/failalloc.h"

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

static unsigned chunks;

static void on_chunk(void *data)
{
	cr_assert_eq(data, &loop);
	chunks++;
}

static int on_made(void *data, struct segment *s, uint64_t *ret_id)
{
	*ret_id = 1;
	return 0;
}

/* With `used` bytes in use. */
static void open_arena(uint64_t used, uint64_t ahead)
{
	static const struct arena_events events = {.on_made = on_made};
	const struct arena_options options = {.name = "test",
		.limit = 32 * MIB,
		.segment_bytes = 32 * MIB,
		.populate_ahead = ahead};
	struct span span;

	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(arena_new(&arena, &options, &events, NULL), 0);
	cr_assert(used == 0 || !arena_alloc(arena, used, &span));
	populate_init(&p, &loop, arena, on_chunk, on_idle, &loop);
}

static void teardown(void)
{
	uv_run(&loop, UV_RUN_DEFAULT);
	arena_free(arena);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(populate, .fini = teardown);

static uint64_t resident(void)
{
	return arena_memory(arena).resident;
}

Test(populate, fills_up_to_what_is_wanted_ahead)
{
	open_arena(16 * MIB, 4 * MIB);
	populate_kick(&p);
	cr_expect(p.busy);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_not(p.busy);
	cr_expect_eq(resident(), 20 * MIB);
	cr_expect_geq(chunks, 3);
	cr_expect_eq(idle, 0);
}

Test(populate, follows_what_is_used)
{
	struct span span;

	open_arena(1, 0);
	populate_kick(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(arena_alloc(arena, 16 * MIB, &span), 0);
	populate_kick(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_geq(resident(), 16 * MIB);
	cr_expect_eq(arena_missing(arena, &span), 0);
}

Test(populate, one_chunk_at_a_time)
{
	open_arena(32 * MIB, 0);
	populate_kick(&p);
	cr_assert(p.busy);
	populate_kick(&p);
	cr_expect_eq(p.range.offset, 0);
	cr_expect(p.range.length <= 8 * MIB);
}

Test(populate, stopped_it_ends_after_the_chunk)
{
	open_arena(32 * MIB, 0);
	populate_kick(&p);
	cr_assert(p.busy);
	populate_stop(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(idle, 1);
	cr_expect_eq(chunks, 1);
	cr_expect(resident() <= 8 * MIB);
	populate_kick(&p);
	cr_expect_not(p.busy);
}

Test(populate, nothing_wanted_nothing_done)
{
	open_arena(0, 32 * MIB);
	populate_kick(&p);
	cr_expect_not(p.busy);
	populate_stop(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect(idle == 0 && chunks == 0);
}

Test(populate, a_host_without_memory)
{
	struct span span;

	open_arena(0, 0);
	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_eq(arena_alloc(arena, 9 * MIB, &span), 0);
	failalloc_arm(FAIL_SYSCALLS, FAIL_PERSISTENT, 1);
	populate_kick(&p);
	uv_run(&loop, UV_RUN_DEFAULT);
	failalloc_disarm();
	cr_expect_geq(chunks, 1);
	cr_expect_eq(arena_missing(arena, &span), UINT64_MAX);
}
