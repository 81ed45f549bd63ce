/* Tests of bump.c. */
#include "grpc/bump.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

Test(bump, pieces_are_apart_and_aligned)
{
	struct bump b;
	uint8_t *p[500];

	bump_init(&b, 1 << 20);
	for (unsigned i = 0; i < 500; i++) {
		p[i] = bump_alloc(&b, 1 + i);
		cr_assert(p[i]);
		cr_assert_eq((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		memset(p[i], (int)i, 1 + i);
	}
	for (unsigned i = 0; i < 500; i++) {
		for (unsigned k = 0; k <= i; k++)
			cr_assert_eq(p[i][k], (uint8_t)i);
	}
	bump_deinit(&b);
}

Test(bump, small_pieces_cost_no_malloc)
{
	struct bump b;

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	bump_init(&b, 1 << 20);
	cr_expect(bump_alloc(&b, BUMP_FIRST_BYTES));
	cr_expect(bump_alloc(&b, 0), "nothing fits still");
	bump_deinit(&b);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), 0);
}

Test(bump, the_heap_is_bounded)
{
	struct bump b;

	bump_init(&b, 10000);
	cr_expect(!bump_alloc(&b, 10001));
	cr_expect(b.exceeded);
	b.exceeded = false;
	cr_expect(bump_alloc(&b, 9984));
	cr_expect(!b.exceeded);
	cr_expect(!bump_alloc(&b, BUMP_FIRST_BYTES));
	cr_expect(b.exceeded);
	cr_expect(!b.out_of_memory);
	bump_deinit(&b);
}

Test(bump, sizes_that_overflow)
{
	struct bump b;

	bump_init(&b, SIZE_MAX);
	cr_expect(!bump_alloc(&b, SIZE_MAX));
	cr_expect(!bump_calloc(&b, SIZE_MAX / 2, 3));
	cr_expect(b.exceeded);
	bump_deinit(&b);
}

Test(bump, calloc_clears)
{
	static const uint8_t zero[64];
	struct bump b;
	uint8_t *p;

	bump_init(&b, 0);
	memset(b.first, 0xff, sizeof(b.first));
	p = bump_calloc(&b, 16, 4);
	cr_assert(p);
	cr_expect_arr_eq(p, zero, 64);
	bump_deinit(&b);
}

static int much(void *arg)
{
	struct bump b;
	int r = 0;

	(void)arg;
	bump_init(&b, 1 << 20);
	for (unsigned i = 0; i < 50 && r == 0; i++) {
		if (!bump_alloc(&b, 3000))
			r = -ENOMEM;
	}
	cr_assert_eq(r != 0, b.out_of_memory);
	bump_deinit(&b);
	return r;
}

Test(bump, without_memory)
{
	FAULT_LOOP(much, NULL);
}
