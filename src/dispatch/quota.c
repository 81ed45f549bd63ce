/* quota.c: the fair-share formula. Pure function, any thread. */
#include "dispatch/quota.h"

bool quota_allows(uint64_t remaining, uint64_t n_users, uint64_t share, uint64_t charge)
{
	uint64_t users;
	uint64_t holding;
	uint64_t needed;

	if (__builtin_add_overflow(n_users, 1, &users))
		return false;
	if (__builtin_add_overflow(share, charge, &holding))
		return false;
	if (__builtin_mul_overflow(users, holding, &needed))
		return false;
	return needed - share <= remaining;
}
