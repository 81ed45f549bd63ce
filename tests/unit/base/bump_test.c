/* bump_test.c: pieces of a block, to its last byte; what may be touched. */
#include "base/bump.h"

#include <criterion/criterion.h>
#include <string.h>

static _Alignas(64) uint8_t block[4096];

/* May the program touch it? Known under AddressSanitizer only. */
static bool poisoned(const void *p)
{
#if POISON_KNOWN
	return __asan_address_is_poisoned(p);
#else
	(void)p;
	return false;
#endif
}

static bool seen(bool yes)
{
	return POISON_KNOWN && yes;
}

Test(bump, pieces_are_apart_and_aligned)
{
	struct bump b;
	uint8_t *p[60];

	bump_init(&b, block, sizeof(block));
	for (unsigned i = 0; i < 60; i++) {
		size_t align = (size_t)1 << i % 7;

		p[i] = bump_take(&b, 1 + i, align);
		cr_assert(p[i]);
		cr_assert_eq((uintptr_t)p[i] % align, 0);
		memset(p[i], (int)i, 1 + i);
	}
	for (unsigned i = 0; i < 60; i++) {
		for (unsigned k = 0; k <= i; k++)
			cr_assert_eq(p[i][k], (uint8_t)i);
	}
	bump_deinit(&b);
}

Test(bump, to_the_last_byte)
{
	struct bump b;

	bump_init(&b, block, 100);
	cr_assert_eq(bump_take(&b, 1, 1), block);
	cr_assert(!bump_take(&b, 93, 8), "seven bytes lie between");
	cr_assert_eq(bump_take(&b, 92, 8), block + 8);
	cr_assert_eq(b.at, b.end);
	cr_assert_eq(bump_take(&b, 0, 1), block + 100);
	cr_assert(!bump_take(&b, 0, 64), "it would begin beyond the end");
	cr_assert(!bump_take(&b, 1, 1));
	bump_deinit(&b);
}

Test(bump, sizes_that_overflow)
{
	struct bump b;

	bump_init(&b, block, sizeof(block));
	cr_assert(bump_take(&b, 1, 1));
	cr_assert(!bump_take(&b, SIZE_MAX, 64));
	cr_assert(!bump_take(&b, SIZE_MAX - 62, 64));
	cr_assert_eq(b.at, block + 1, "what is refused takes nothing");
	bump_deinit(&b);
}

Test(bump, an_empty_block)
{
	struct bump b = {0};

	cr_assert(!bump_take(&b, 1, 8));
	cr_assert(!bump_take(&b, 0, 8), "NULL is where it begins");
	bump_deinit(&b);
	bump_init(&b, NULL, 0);
	cr_assert(!bump_take(&b, 1, 8));
	bump_deinit(&b);
}

Test(bump, what_is_not_cut_is_poisoned)
{
	struct bump b;
	uint8_t *piece;

	bump_init(&b, block, 256);
	cr_assert_eq(poisoned(block), seen(true));
	piece = bump_take(&b, 5, 8);
	cr_assert(!poisoned(piece + 4));
	cr_assert_eq(poisoned(piece + 5), seen(true));
	cr_assert(!poisoned(block + 256), "beyond the block is not ours");
	bump_reset(&b);
	cr_assert_eq(poisoned(piece), seen(true), "what was cut is forgotten");
	cr_assert_eq(bump_take(&b, 256, 1), block);
	bump_deinit(&b);
	for (size_t i = 0; i < 256; i++)
		cr_assert(!poisoned(block + i));
}
