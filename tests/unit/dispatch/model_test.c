/* Tests of model.c: what a model says of itself. */
#include "dispatch/model.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "fake_bed.h"

static struct bed bed;

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(model, .fini = teardown);

static void up(uint32_t own, uint32_t otherwise)
{
	bed_init(&bed);
	bed.models[0].max_batch_size = own;
	bed.settings.default_max_batch_size = otherwise;
	bed_up(&bed);
}

Test(model, batch_size_is_the_backend_s)
{
	up(UINT32_MAX, 16);
	cr_expect_eq(model_max_batch_size(bed.alpha), 8);
}

Test(model, batch_size_is_the_default)
{
	up(UINT32_MAX, 4);
	cr_expect_eq(model_max_batch_size(bed.alpha), 4);
}

Test(model, batch_size_is_its_own)
{
	up(2, 4);
	cr_expect_eq(model_max_batch_size(bed.alpha), 2);
	bed.pool->loaded[0] = NULL;
	cr_expect_eq(model_max_batch_size(bed.alpha), 2);
}

Test(model, its_own_is_cut_by_the_backend_s)
{
	up(64, 4);
	cr_expect_eq(model_max_batch_size(bed.alpha), 8);
}

Test(model, names_are_found)
{
	uint32_t i = 9;

	up(UINT32_MAX, 16);
	cr_expect_eq(model_find_input(bed.gamma, "b", &i), 0);
	cr_expect_eq(i, 1);
	cr_expect_eq(model_find_output(bed.gamma, "z", &i), 0);
	cr_expect_eq(i, 1);
	i = 9;
	cr_expect_eq(model_find_input(bed.gamma, "y", &i), -ENOENT);
	cr_expect_eq(model_find_output(bed.gamma, "b", &i), -ENOENT);
	bed.pool->loaded[2] = NULL;
	cr_expect_eq(model_find_input(bed.gamma, "b", &i), -ENOENT);
	cr_expect_eq(i, 9);
}

Test(model, states)
{
	struct worker *w;

	up(UINT32_MAX, 16);
	w = &bed.pool->workers[0];
	cr_expect_str_eq(model_state_name(bed.alpha), "ready");
	cr_expect_eq(model_workers_ready(bed.alpha), 1);
	w->ready = false;
	cr_expect_str_eq(model_state_name(bed.alpha), "unavailable");
	bed.pool->loaded[0] = NULL;
	cr_expect_str_eq(model_state_name(bed.alpha), "loading");
	bed.pool->hopeless[0] = true;
	cr_expect_str_eq(model_state_name(bed.alpha), "failed");
	cr_expect_str_eq(model_detail(bed.alpha), "");
	cr_expect_eq(model_id(bed.gamma), 2);
	cr_expect_str_eq(model_settings(bed.gamma)->name, "gamma");
}
