/* Tests of warmup_settings.c: lists are made, copied and compared whole. */
#include "dispatch/warmup_settings.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

static const int64_t dims[] = {3, 4};
static const struct wire_warmup_input inputs[] = {
	{.name = "x", .dtype = DTYPE_F32, .rank = 2, .dims = dims, .random = true, .file = ""},
	{.name = "y", .dtype = DTYPE_BYTES, .file = "a/b"},
};
static const struct wire_warmup list[] = {
	{.name = "one", .batch_size = 2, .count = 3, .inputs = inputs, .n_inputs = 2},
	{.name = "two", .batch_size = 1, .count = 1},
};

Test(warmup_settings, a_copy_is_equal_until_something_changes)
{
	const struct wire_warmup *copy = NULL;
	struct wire_warmup *w;
	struct wire_warmup_input *in;

	cr_assert_eq(warmups_copy(&copy, list, 2), 0);
	w = (struct wire_warmup *)copy;
	in = (struct wire_warmup_input *)w->inputs;
	cr_expect(warmups_equal(list, 2, copy, 2));
	cr_expect(!warmups_equal(list, 2, copy, 1));
	cr_expect(warmups_equal(NULL, 0, copy, 0));
	w->count = 4;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	w->count = 3;
	w->batch_size = 3;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	w->batch_size = 2;
	w->n_inputs = 1;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	w->n_inputs = 2;
	in->random = false;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	in->random = true;
	in->dtype = DTYPE_F64;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	in->dtype = DTYPE_F32;
	((int64_t *)in->dims)[1] = 5;
	cr_expect(!warmups_equal(list, 2, copy, 2));
	((int64_t *)in->dims)[1] = 4;
	((char *)in[1].file)[0] = 'c';
	cr_expect(!warmups_equal(list, 2, copy, 2));
	((char *)in[1].file)[0] = 'a';
	((char *)in->name)[0] = 'z';
	cr_expect(!warmups_equal(list, 2, copy, 2));
	((char *)in->name)[0] = 'x';
	cr_expect(warmups_equal(list, 2, copy, 2));
	warmups_free(copy, 2);
}

Test(warmup_settings, nothing)
{
	const struct wire_warmup *copy = NULL;

	cr_assert_eq(warmups_copy(&copy, NULL, 0), 0);
	cr_expect_null(copy);
	warmups_free(NULL, 0);
}

static int under_faults(void *arg)
{
	const struct wire_warmup *copy = NULL;
	int r = warmups_copy(&copy, list, 2);

	(void)arg;
	cr_assert(!r || r == -ENOMEM);
	if (!r)
		warmups_free(copy, 2);
	return r;
}

Test(warmup_settings, memory_failures)
{
	FAULT_LOOP_KINDS(under_faults, NULL, FAIL_ALLOCATIONS);
}
