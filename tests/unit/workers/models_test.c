/* models_test.c: the table. */
#include "workers/models.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "tests/support/failalloc.h"

/* A model without a backend; NULL: no memory. */
static struct model *make(uint32_t number)
{
	struct model *m = calloc(1, sizeof(*m));

	if (m)
		m->number = number;
	return m;
}

Test(models, by_number)
{
	const uint32_t numbers[] = {0, 3, 3 + 16, UINT32_MAX};
	struct model *m[4];
	struct model *again = make(3);
	struct models t = {0};

	cr_assert_null(models_get(&t, 3));
	cr_assert_null(models_take(&t, 3));
	for (int i = 0; i < 4; i++) {
		m[i] = make(numbers[i]);
		cr_assert_eq(models_put(&t, m[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		cr_assert_eq(models_get(&t, numbers[i]), m[i]);
	cr_assert_null(models_get(&t, 2));
	cr_assert_eq(models_put(&t, again), -EEXIST);
	cr_assert_null(models_take(&t, 2));
	cr_assert_eq(models_take(&t, 3), m[1]);
	cr_assert_null(models_get(&t, 3));
	cr_assert_eq(models_get(&t, 3 + 16), m[2]);
	model_unload(m[1]);
	cr_assert_eq(models_put(&t, again), 0);
	models_deinit(&t);
	models_deinit(&t);
}

Test(models, numbers_that_were_never_used_again_take_no_room)
{
	struct models t = {0};

	for (uint32_t i = 0; i < 10000; i++) {
		cr_assert_eq(models_put(&t, make(i)), 0);
		if (i >= 10)
			model_unload(models_take(&t, i - 10));
	}
	cr_assert_eq(t.n, 10);
	cr_assert_leq(t.n_buckets, 16);
	models_deinit(&t);
}

static int work(void *arg)
{
	struct models t = {0};
	int r = 0;

	for (uint32_t i = 0; !r && i < 100; i++) {
		struct model *m = make(i);

		r = m ? models_put(&t, m) : -ENOMEM;
		if (r)
			model_unload(m);
	}
	models_deinit(&t);
	return r;
}

Test(models, faults)
{
	FAULT_LOOP(work, NULL);
}
