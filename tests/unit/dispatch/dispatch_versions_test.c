/* dispatch_versions_test.c: versions at the door: found by name and number, the default model. */
#include "dispatch/dispatch.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "fake_bed.h"
#include "tests/support/failalloc.h"

static struct bed bed;

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(dispatch_versions, .init = setup, .fini = teardown);
/* Each begins with bed_init() and bed_up(). */
TestSuite(dispatch_versions_own, .fini = teardown);

Test(dispatch_versions, models_are_found_by_name)
{
	cr_expect_eq(dispatch_n_versions(bed.d), 3);
	cr_expect_eq(dispatch_find_version(bed.d, "beta", 4), bed.beta);
	cr_expect_eq(dispatch_find_version(bed.d, "gammaXYZ", 5), bed.gamma);
	cr_expect_eq(dispatch_find_version(bed.d, "", 0), bed.alpha, "the default");
	cr_expect_null(dispatch_find_version(bed.d, "bet", 3));
	cr_expect_null(dispatch_find_version(bed.d, "betas", 5));
	cr_expect_null(dispatch_find_version(bed.d, "alpha\0x", 7));
	cr_expect_null(dispatch_find_version(bed.d, "zeta", 4));
	cr_expect_null(dispatch_find_version(bed.d, "a", 1));
}

Test(dispatch_versions_own, no_default_model)
{
	bed_init(&bed);
	bed.settings.default_model = NULL;
	bed_up(&bed);
	cr_expect_null(dispatch_find_version(bed.d, "", 0));
	cr_expect_eq(dispatch_set_default(bed.d, "gone"), 0);
	cr_expect_null(dispatch_find_version(bed.d, NULL, 0));
	cr_expect_eq(dispatch_set_default(bed.d, "beta"), 0);
	cr_expect_eq(dispatch_find_version(bed.d, NULL, 0), bed.beta);
	cr_expect_eq(dispatch_set_default(bed.d, NULL), 0);
	cr_expect_null(dispatch_find_version(bed.d, NULL, 0));
}

Test(dispatch_versions, by_name_and_number)
{
	cr_expect_eq(dispatch_find_version(bed.d, "beta:1", 6), bed.beta);
	cr_expect_null(dispatch_find_version(bed.d, "beta:2", 6));
	cr_expect_null(dispatch_find_version(bed.d, "beta:", 5));
	cr_expect_null(dispatch_find_version(bed.d, ":1", 2));
	cr_expect_null(dispatch_find_version(bed.d, "beta:1:1", 8));
}

Test(dispatch_versions, by_number)
{
	cr_expect_eq(dispatch_find_number(bed.d, "beta", 4, "1", 1), bed.beta);
	cr_expect_eq(dispatch_find_number(bed.d, "beta", 4, "12", 1), bed.beta, "one digit of it");
	cr_expect_null(dispatch_find_number(bed.d, "beta", 4, "2", 1));
	cr_expect_null(dispatch_find_number(bed.d, "zeta", 4, "1", 1));
}

Test(dispatch_versions, the_default_stays_where_there_is_no_memory)
{
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_expect_eq(dispatch_set_default(bed.d, "beta"), -ENOMEM);
	failalloc_disarm();
	cr_expect_eq(dispatch_find_version(bed.d, "", 0), bed.alpha);
}

Test(dispatch_versions, removed_ones_are_not_counted)
{
	dispatch_remove_version(bed.d, bed.beta);
	cr_assert_eq(dispatch_n_versions(bed.d), 2);
	cr_expect_eq(dispatch_version(bed.d, 0), bed.alpha);
	cr_expect_eq(dispatch_version(bed.d, 1), bed.gamma);
	cr_expect_null(dispatch_find_version(bed.d, "beta", 4));
}

Test(dispatch_versions, where_inputs_are_best_put)
{
	cr_expect_eq(dispatch_numa_node(bed.d, "beta", 4), 0);
	bed.pool->workers[0].numa_node = 2;
	bed.pool->workers[0].holds[bed.beta->pool_model->id] = true;
	bed.pool->workers[0].holds[bed.gamma->pool_model->id] = false;
	cr_expect_eq(dispatch_numa_node(bed.d, "beta", 4), 2);
	cr_expect_eq(dispatch_numa_node(bed.d, "gamma", 5), 0);
	cr_expect_eq(dispatch_numa_node(bed.d, "nobody", 6), 0);
}
