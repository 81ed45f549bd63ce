/* Tests of quota.c: the formula, at its edges. */
#include "dispatch/quota.h"

#include <criterion/criterion.h>

Test(quota, first_user_may_take_half)
{
	cr_expect(quota_allows(100, 1, 0, 50));
	cr_expect_not(quota_allows(100, 1, 0, 51));
}

Test(quota, share_counts)
{
	/* (2 + 1) * (10 + 20) - 10 = 80 */
	cr_expect(quota_allows(80, 2, 10, 20));
	cr_expect_not(quota_allows(79, 2, 10, 20));
}

Test(quota, more_users_leave_less)
{
	cr_expect(quota_allows(120, 2, 0, 40));
	cr_expect_not(quota_allows(120, 3, 0, 40));
	cr_expect(quota_allows(120, 3, 0, 30));
}

Test(quota, nothing_left)
{
	cr_expect_not(quota_allows(0, 1, 0, 1));
	cr_expect(quota_allows(0, 1, 0, 0));
}

Test(quota, overflow_means_no)
{
	cr_expect_not(quota_allows(UINT64_MAX, UINT64_MAX, 1, 1));
	cr_expect_not(quota_allows(UINT64_MAX, 1, UINT64_MAX, 1));
	cr_expect_not(quota_allows(UINT64_MAX, 1, 0, UINT64_MAX));
	cr_expect(quota_allows(UINT64_MAX, 1, 0, UINT64_MAX / 2));
}
