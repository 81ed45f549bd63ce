/* Tests of input_share.c: who may have how much, at the edges; lease_test.c has the same of an arena. */
#include "dispatch/input_share.h"

#include <criterion/criterion.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

#define LIMIT (32 * MIB)
#define LARGE (128 * KIB + 64) /* the smallest */

static bool allows(
	uint64_t limit, uint64_t used, uint64_t n_holders, uint64_t bytes, uint64_t charge)
{
	const struct input_share s = {.limit = limit, .used = used, .n_holders = n_holders};

	return input_share_allows(&s, bytes, charge);
}

Test(input_share, a_piece_costs_whole_granules)
{
	cr_expect_eq(input_share_charge(0), 64);
	cr_expect_eq(input_share_charge(1), 64);
	cr_expect_eq(input_share_charge(64), 64);
	cr_expect_eq(input_share_charge(65), 128);
	cr_expect_eq(input_share_charge(UINT64_MAX - 64), UINT64_MAX - 63);
	cr_expect_eq(input_share_charge(UINT64_MAX - 63), UINT64_MAX);
	cr_expect_eq(input_share_charge(UINT64_MAX), UINT64_MAX);
}

Test(input_share, sizes)
{
	cr_expect(input_share_is_small(LIMIT, 64 * KIB));
	cr_expect_not(input_share_is_small(LIMIT, 64 * KIB + 64));
	cr_expect_eq(input_share_max(LIMIT, 64 * KIB), LIMIT);
	cr_expect_eq(input_share_max(LIMIT, 128 * KIB), LIMIT - LIMIT / 4);
	cr_expect_eq(input_share_max(LIMIT, LARGE), LIMIT / 2);
	cr_expect_eq(input_share_max(LIMIT, UINT64_MAX), LIMIT / 2);
}

Test(input_share, an_arena_that_is_too_small_is_not_divided)
{
	const uint64_t limit = 8 * MIB - 1;

	cr_expect_not(input_share_is_small(limit, 64));
	cr_expect_eq(input_share_max(limit, UINT64_MAX), limit);
	cr_expect(allows(limit, 0, 0, 0, limit), "who is alone may have it");
	cr_expect(allows(limit, limit, 1, limit, 64), "is told by the arena that it is full");
	cr_expect(input_share_is_small(8 * MIB, 64));
}

Test(input_share, who_is_alone)
{
	cr_expect(allows(LIMIT, 0, 0, 0, LIMIT / 2));
	cr_expect_not(allows(LIMIT, 0, 0, 0, LIMIT / 2 + 64));
	cr_expect(allows(LIMIT, LIMIT / 2, 1, LIMIT / 2, 128 * KIB));
	cr_expect_not(allows(LIMIT, LIMIT / 2, 1, LIMIT / 2, LARGE), "nor in several pieces");
	cr_expect(allows(LIMIT, 24 * MIB - 128 * KIB, 1, 24 * MIB - 128 * KIB, 128 * KIB));
	cr_expect_not(allows(LIMIT, 24 * MIB, 1, 24 * MIB, 128 * KIB));
	cr_expect(allows(LIMIT, 24 * MIB, 1, 24 * MIB, 64 * KIB));
}

/* Of three quarters large pieces take half of what is left; others go up to seven eighths, small ones to the end. */
Test(input_share, who_holds_nothing_beside_others)
{
	cr_expect(allows(LIMIT, 8 * MIB, 1, 0, 8 * MIB));
	cr_expect_not(allows(LIMIT, 8 * MIB, 1, 0, 8 * MIB + 64));
	cr_expect(allows(LIMIT, 28 * MIB - 128 * KIB, 9, 0, 128 * KIB));
	cr_expect_not(allows(LIMIT, 28 * MIB, 9, 0, 128 * KIB));
	cr_expect(allows(LIMIT, LIMIT - 64, 9, 0, 64));
}

Test(input_share, who_holds_some_beside_others)
{
	/* (2 + 1) * (1 + 1) MiB - 1 MiB = 5 MiB of the half that is left */
	cr_expect(allows(LIMIT, 14 * MIB, 2, MIB, MIB));
	cr_expect_not(allows(LIMIT, 14 * MIB + 64, 2, MIB, MIB));
}

Test(input_share, what_cannot_be_counted_is_not_allowed)
{
	cr_expect_not(allows(LIMIT, 0, 0, 0, UINT64_MAX));
	cr_expect_not(allows(LIMIT, 64, 1, 64, UINT64_MAX));
	cr_expect_not(allows(MIB, 64, 2, 64, UINT64_MAX));
}
