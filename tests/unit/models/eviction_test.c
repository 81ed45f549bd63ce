/* Tests of eviction.c: which model makes room. */
#include "models/eviction.h"

#include <criterion/criterion.h>

static const struct eviction_model models[] = {
	{.used_ns = 30, .n_uses = 2},
	{.used_ns = 10, .n_uses = 9, .busy = true},
	{.used_ns = 20, .n_uses = 5},
	{.used_ns = 40, .n_uses = 2},
};

static size_t choose(enum eviction_policy policy, uint64_t ttl_ns, uint64_t now_ns)
{
	return eviction_choose(policy, models, 4, ttl_ns, now_ns);
}

Test(eviction, who_goes)
{
	cr_expect_eq(choose(EVICTION_LRU, 0, 50), 2);
	cr_expect_eq(
		choose(EVICTION_LFU, 0, 50), 0, "of two that were used as often the older one");
	cr_expect_eq(choose(EVICTION_TTL, 30, 50), 2);
	cr_expect_eq(choose(EVICTION_TTL, 31, 50), 4, "none is old enough");
	cr_expect_eq(choose(EVICTION_TTL, 30, 5), 4, "clocks that go backwards");
	cr_expect_eq(choose(EVICTION_MANUAL, 0, 50), 4);
	cr_expect_eq(eviction_choose(EVICTION_LRU, models, 0, 0, 50), 0, "there is none");
	cr_expect_eq(eviction_choose(EVICTION_LRU, models + 1, 1, 0, 50), 1, "it is busy");
}

Test(eviction, words)
{
	enum eviction_policy p = EVICTION_LRU;

	cr_expect(eviction_parse("manual", &p) && p == EVICTION_MANUAL);
	cr_expect(eviction_parse("lfu", &p) && p == EVICTION_LFU);
	cr_expect(eviction_parse("ttl", &p) && p == EVICTION_TTL);
	cr_expect(eviction_parse("lru", &p) && p == EVICTION_LRU);
	cr_expect_not(eviction_parse("LRU", &p));
	cr_expect_not(eviction_parse("", &p));
}
