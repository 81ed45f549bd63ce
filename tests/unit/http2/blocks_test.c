/* blocks_test.c: sizes, what is kept and what is not. */
#include "http2/blocks.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/poison.h"
#include "tests/support/failalloc.h"

#define LARGEST ((size_t)64 << (BLOCKS_CLASSES - 1))

static struct blocks b;

static void setup(void)
{
	blocks_init(&b);
}

static void teardown(void)
{
	blocks_deinit(&b);
}

TestSuite(blocks, .init = setup, .fini = teardown);

Test(blocks, as_large_as_asked_for)
{
	for (size_t n = 0; n <= 2 * LARGEST; n = n * 2 + 1) {
		uint8_t *p = blocks_take(&b, n);

		cr_assert(p);
		memset(p, 0xab, n);
		blocks_give(&b, p, n);
	}
	cr_expect_eq(b.n_taken, 0);
}

/* AddressSanitizer is to see every use after free, so nothing is kept there. */
Test(blocks, in_the_steady_state_nothing_is_allocated)
{
	void *small = blocks_take(&b, 100), *large = blocks_take(&b, LARGEST);

	cr_assert(small);
	cr_assert(large);
	blocks_give(&b, small, 100);
	blocks_give(&b, large, LARGEST);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	small = blocks_take(&b, 65);
	large = blocks_take(&b, LARGEST);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), POISON_KNOWN ? 2 : 0);
	cr_expect_eq(b.n_taken, 2);
	blocks_give(&b, small, 65);
	blocks_give(&b, large, LARGEST);
}

Test(blocks, larger_ones_are_not_kept)
{
	void *p = blocks_take(&b, LARGEST + 1);

	cr_assert(p);
	blocks_give(&b, p, LARGEST + 1);
	for (unsigned i = 0; i < BLOCKS_CLASSES; i++)
		cr_expect_null(b.free[i]);
}

Test(blocks, so_many_of_a_size_are_kept_and_no_more)
{
	enum { N = BLOCKS_KEEP_BYTES / LARGEST + 1 };
	static void *all[N];

	for (size_t i = 0; i < N; i++) {
		all[i] = blocks_take(&b, LARGEST);
		cr_assert(all[i]);
	}
	for (size_t i = 0; i < N; i++)
		blocks_give(&b, all[i], LARGEST);
	cr_expect_eq(b.n_free[BLOCKS_CLASSES - 1], POISON_KNOWN ? 0 : N - 1);
	cr_expect_eq(b.n_taken, 0);
}

Test(blocks, without_memory)
{
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_expect_null(blocks_take(&b, 100));
	cr_expect_null(blocks_take(&b, LARGEST + 1));
	failalloc_disarm();
	cr_expect_eq(b.n_taken, 0);
	blocks_give(&b, NULL, 100);
}
