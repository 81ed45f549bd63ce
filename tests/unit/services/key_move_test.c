/* Tests of key_move.c: bytes come and go, in turns, and not beyond the end of an object that was cut short. */
#include "services/key_move.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/peer.h"
#include "key_object.h"
#include "services/key_region.h"
#include "tests/support/failalloc.h"

#define SLICE KEY_MOVE_SLICE
#define LARGE (3 * SLICE + 5)

struct waiter {
	struct key_move move; /* first */
	int done;	      /* times */
	int error;
	unsigned turn; /* in which on_done came, of all */
};

static uv_loop_t loop;
static struct key_mover mover;
static struct key_object object;
static struct key_regions regions;
static struct key_region *region;
static struct waiter waiter, other;
static uint8_t *data;
static unsigned n_done;

static void on_done(struct key_move *m, int error)
{
	struct waiter *w = (struct waiter *)m;

	w->done++;
	w->error = error;
	w->turn = ++n_done;
	key_move_release(m);
}

static void set_up(void)
{
	struct infer_failure failure = {0};
	struct peer me = {.uid = getuid(), .user = getuid()};

	cr_assert_eq(uv_loop_init(&loop), 0);
	key_mover_init(&mover, &loop);
	key_object_make(&object, "move", 2 * LARGE);
	key_regions_init(&regions, CLIENT_SHM_LOCAL, CLIENT_SHM_OFF, 8);
	cr_assert_eq(key_regions_register(
			     &regions, &me, "a", object.key, 100, 2 * LARGE - 100, &failure),
		0);
	region = key_regions_find(&regions, &me, "a", 1);
	data = malloc(LARGE);
	waiter.move.on_done = other.move.on_done = on_done;
}

static void tear_down(void)
{
	key_regions_deinit(&regions);
	key_mover_close(&mover, NULL);
	cr_expect_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&loop), 0);
	key_object_remove(&object);
	free(data);
}

TestSuite(key_move, .init = set_up, .fini = tear_down);

static void add(struct waiter *w, bool out, uint64_t offset, uint64_t length)
{
	cr_assert_eq(
		key_move_add(&w->move, &(struct key_piece){region, offset, data, length, out}), 0);
}

Test(key_move, little_at_once)
{
	cr_assert_eq(pwrite(object.fd, "hello", 5, 107), 5);
	add(&waiter, false, 7, 5);
	add(&waiter, false, 7, 0);
	cr_expect_eq(key_move_begin(&waiter.move, &mover), 0);
	cr_expect_arr_eq(data, "hello", 5);
	key_move_release(&waiter.move);
	memcpy(data, "world", 5);
	add(&waiter, true, 20, 5);
	cr_expect_eq(key_move_begin(&waiter.move, &mover), 0);
	key_move_release(&waiter.move);
	cr_assert_eq(pread(object.fd, data + 10, 5, 120), 5);
	cr_expect_arr_eq(data + 10, "world", 5);
	cr_expect_eq(waiter.done, 0);
}

Test(key_move, much_in_turns)
{
	memset(data, 0x5a, LARGE);
	add(&waiter, true, 1, LARGE);
	add(&other, true, LARGE, 2 * SLICE);
	cr_assert_eq(key_move_begin(&waiter.move, &mover), KEY_MOVE_E_LATER);
	cr_assert_eq(key_move_begin(&other.move, &mover), KEY_MOVE_E_LATER);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(waiter.done, 1);
	cr_expect_eq(waiter.error, 0);
	cr_expect_eq(other.done, 1);
	cr_expect_lt(other.turn, waiter.turn, "the shorter one need not wait for the whole other");
	memset(data, 0, LARGE);
	cr_assert_eq(pread(object.fd, data, LARGE, 101), LARGE);
	for (size_t i = 0; i < LARGE; i++)
		cr_assert_eq(data[i], 0x5a);
}

Test(key_move, an_object_that_was_cut_short)
{
	add(&waiter, false, 0, LARGE);
	cr_assert_eq(key_move_begin(&waiter.move, &mover), KEY_MOVE_E_LATER);
	cr_assert_eq(ftruncate(object.fd, (off_t)SLICE + 200), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(waiter.error, KEY_MOVE_E_GONE);
	add(&waiter, false, 2 * SLICE, 1);
	cr_expect_eq(key_move_begin(&waiter.move, &mover), KEY_MOVE_E_GONE);
	key_move_release(&waiter.move);
	add(&waiter, true, 2 * SLICE, 1);
	cr_expect_eq(key_move_begin(&waiter.move, &mover), KEY_MOVE_E_GONE);
	cr_expect_eq(waiter.move.at, 0);
	key_move_release(&waiter.move);
	cr_expect_eq(lseek(object.fd, 0, SEEK_END), (off_t)SLICE + 200, "it does not grow");
}

Test(key_move, nobody_wants_it_any_more)
{
	add(&waiter, false, 0, LARGE);
	cr_assert_eq(key_move_begin(&waiter.move, &mover), KEY_MOVE_E_LATER);
	cr_expect_eq(region->refs, 2);
	key_move_release(&waiter.move);
	key_move_release(&waiter.move);
	cr_expect_eq(region->refs, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(waiter.done, 0);
}

static int add_two(void *arg)
{
	struct key_move m = {0};
	const struct key_piece piece = {region, 0, data, 1, false};
	int r = key_move_add(&m, &piece);

	(void)arg;
	if (!r)
		r = key_move_add(&m, &piece);
	key_move_release(&m);
	return r;
}

Test(key_move, without_memory)
{
	FAULT_LOOP_KINDS(add_two, NULL, FAIL_ALLOCATIONS);
}
