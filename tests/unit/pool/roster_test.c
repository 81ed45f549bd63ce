/* roster_test.c: which workers there are, in which order, by the settings alone: none has a process. */
#include "pool/roster.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "pool/pool_private.h"
#include "pool/worker_private.h"
#include "tests/support/failalloc.h"

static struct pool_place places[] = {{"cpu:0", 2}, {"cuda:0", 1}, {"cpu:0", 1}};
static struct pool_settings settings;
static struct pool pool;

static void setup(void)
{
	settings = (struct pool_settings){.places = places, .n_places = 3, .slots = 2};
	memset(&pool, 0, sizeof(pool));
	pool.settings = &settings;
}

static void teardown(void)
{
	roster_free(&pool);
}

TestSuite(roster, .init = setup, .fini = teardown);

static void is(size_t i, const char *name)
{
	const struct worker *w = &pool.workers[i];

	cr_expect_str_eq(w->name, name);
	cr_expect_eq(w->index, i);
	cr_expect_eq(w->pool, &pool);
	cr_expect_eq(w->state, WORKER_REAPED);
	cr_expect_str_eq(w->device, pool.devices[w->device_index]);
}

/* What a model has of each is in a column of its own: those for models alone have none. */
Test(roster, shared_ones_then_those_for_trials)
{
	cr_assert_eq(roster_make(&pool), 0);
	cr_assert_eq(pool.n_devices, 2);
	cr_assert_eq(pool.n_shared, 4);
	cr_assert_eq(pool.n_workers, 4);
	cr_assert_eq(pool.max_workers, 4);
	cr_assert_eq(pool.n_all, 6);
	is(0, "cpu:0/0");
	is(1, "cpu:0/1");
	is(2, "cuda:0/0");
	is(3, "cpu:0/2"); /* a device may be named twice */
	is(4, "cpu:0/trial");
	is(5, "cuda:0/trial");
	for (size_t i = 0; i < 6; i++) {
		cr_expect_eq(pool.workers[i].column, i);
		cr_expect_eq(pool.workers[i].trial, i >= 4);
		cr_expect_not(pool.workers[i].resting);
	}
}

Test(roster, where_they_are_replaced_one_of_each_device_rests)
{
	settings.recycle_after_unload_bytes = 1;
	cr_assert_eq(roster_make(&pool), 0);
	cr_assert_eq(pool.n_shared, 6);
	cr_assert_eq(pool.n_all, 8);
	is(4, "cpu:0/3");
	is(5, "cuda:0/1");
	for (size_t i = 0; i < 8; i++)
		cr_expect_eq(pool.workers[i].resting, i == 4 || i == 5);
}

Test(roster, places_for_models_alone_are_nobodys_yet)
{
	settings.max_model_workers = 3;
	cr_assert_eq(roster_make(&pool), 0);
	cr_assert_eq(pool.n_workers, 4);
	cr_assert_eq(pool.max_workers, 7);
	cr_assert_eq(pool.n_all, 9);
	for (size_t i = 4; i < 7; i++) {
		cr_expect(pool.workers[i].own);
		cr_expect_null(pool.workers[i].model);
	}
	is(7, "cpu:0/trial");
	cr_expect_eq(pool.workers[7].column, 4);
	cr_expect_eq(pool.workers[8].column, 5);
}

Test(roster, none)
{
	settings.n_places = 0;
	cr_assert_eq(roster_make(&pool), 0);
	cr_expect_eq(pool.n_all, 0);
}

static int make_once(void *data)
{
	struct pool p = {.settings = data};
	int r = roster_make(&p);

	roster_free(&p);
	return r;
}

Test(roster, making_it_survives_faults)
{
	settings.recycle_after_unload_bytes = 1;
	settings.max_model_workers = 2;
	FAULT_LOOP(make_once, &settings);
}
