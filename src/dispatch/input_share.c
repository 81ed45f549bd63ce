/* input_share.c: arithmetic alone. Daemon process, any thread. */
#include "dispatch/input_share.h"

#include "dispatch/quota.h"
#include "shm/segment.h"

#define DIVIDED_MIN (UINT64_C(8) << 20)
#define SMALL_MAX   (UINT64_C(64) << 10)
#define LARGE_PART  256u /* of the arena; more is large */

uint64_t input_share_charge(uint64_t length)
{
	if (length > UINT64_MAX - SEGMENT_ALIGN)
		return UINT64_MAX;
	if (length == 0)
		return SEGMENT_ALIGN;
	return (length + SEGMENT_ALIGN - 1) & ~(uint64_t)(SEGMENT_ALIGN - 1);
}

static bool is_divided(uint64_t limit)
{
	return limit >= DIVIDED_MIN;
}

bool input_share_is_small(uint64_t limit, uint64_t charge)
{
	return is_divided(limit) && charge <= SMALL_MAX;
}

static bool is_large(uint64_t limit, uint64_t charge)
{
	return is_divided(limit) && charge > SMALL_MAX && charge > limit / LARGE_PART;
}

/* What pieces of that size may have together. */
static uint64_t reach(uint64_t limit, uint64_t charge)
{
	if (is_large(limit, charge))
		return limit - limit / 4;
	return is_divided(limit) && !input_share_is_small(limit, charge) ? limit - limit / 8
									 : limit;
}

/* Of that, now. */
static uint64_t remaining(const struct input_share *s, uint64_t charge)
{
	uint64_t all = reach(s->limit, charge);

	return s->used < all ? all - s->used : 0;
}

uint64_t input_share_max(uint64_t limit, uint64_t charge)
{
	if (!is_divided(limit) || input_share_is_small(limit, charge))
		return limit;
	return is_large(limit, charge) ? limit / 2 : limit - limit / 4;
}

bool input_share_allows(const struct input_share *s, uint64_t bytes, uint64_t charge)
{
	bool alone = s->n_holders == (bytes > 0);
	uint64_t left = remaining(s, charge);

	if (is_large(s->limit, charge) && !alone)
		left /= 2;
	if (is_divided(s->limit) && !input_share_is_small(s->limit, charge) &&
		(charge > left || bytes + charge > input_share_max(s->limit, charge)))
		return false;
	if (bytes == 0 || alone)
		return true;
	return quota_allows(left, s->n_holders, bytes, charge);
}
