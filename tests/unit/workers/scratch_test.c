/* scratch_test.c: one growing block, cut into aligned pieces. */
#include "workers/scratch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(scratch, pieces_are_aligned_and_apart)
{
	struct scratch s = {.max = 4096};
	char *a, *b;

	cr_assert_eq(scratch_begin(&s, scratch_bytes(1) + scratch_bytes(100)), 0);
	a = scratch_take(&s, 1);
	b = scratch_take(&s, 100);
	cr_assert_eq((uintptr_t)a % SCRATCH_ALIGN, 0);
	cr_assert_eq((uintptr_t)b % SCRATCH_ALIGN, 0);
	cr_assert_eq(b - a, 64);
	memset(a, 1, 1);
	memset(b, 2, 100);
	cr_assert_eq(*a, 1);
	scratch_deinit(&s);
}

Test(scratch, sizes_round_up_and_saturate)
{
	cr_assert_eq(scratch_bytes(0), 0);
	cr_assert_eq(scratch_bytes(1), 64);
	cr_assert_eq(scratch_bytes(64), 64);
	cr_assert_eq(scratch_bytes(UINT64_MAX - 1), UINT64_MAX);
}

Test(scratch, limit)
{
	struct scratch s = {.max = 1000};

	cr_assert_eq(scratch_begin(&s, 1001), SCRATCH_E_LIMIT);
	cr_assert_eq(scratch_begin(&s, UINT64_MAX), SCRATCH_E_LIMIT);
	cr_assert_eq(scratch_begin(&s, 600), 0);
	cr_assert_eq(scratch_begin(&s, 1000), 0, "twice 600 is too much, 1000 is not");
	cr_assert_leq(s.size, 1000);
	scratch_deinit(&s);
}

Test(scratch, memory_is_kept_unless_it_is_huge)
{
	struct scratch s = {.max = UINT64_MAX};

	cr_assert_eq(scratch_begin(&s, 1 << 20), 0);
	scratch_end(&s);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_eq(scratch_begin(&s, 1 << 20), 0);
	cr_assert_eq(scratch_begin(&s, 2 << 20), -ENOMEM);
	failalloc_disarm();
	cr_assert_eq(scratch_begin(&s, 65 << 20), 0);
	scratch_end(&s);
	cr_assert_eq(s.size, 0);
	scratch_deinit(&s);
}
