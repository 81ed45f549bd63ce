/* Tests of eviction.c: which model makes room. */
#include "models/eviction.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct eviction_model models[] = {
	{.used_ns = 30, .n_uses = 2},
	{.used_ns = 10, .n_uses = 9, .busy = true},
	{.used_ns = 20, .n_uses = 5},
	{.used_ns = 40, .n_uses = 2},
};

/* Their indexes in `models`, in the order in which they may go: "20" */
static const char *rank(enum eviction_policy policy, uint64_t ttl_ns, uint64_t now_ns)
{
	static char out[8];
	struct eviction_model list[4];
	size_t n;

	memcpy(list, models, sizeof(list));
	for (size_t i = 0; i < 4; i++)
		list[i].who = (void *)&models[i];
	n = eviction_rank(policy, list, 4, ttl_ns, now_ns);
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('0' + ((const struct eviction_model *)list[i].who - models));
	out[n] = '\0';
	return out;
}

Test(eviction, who_goes)
{
	struct eviction_model busy = models[1];

	cr_expect_str_eq(rank(EVICTION_LRU, 0, 50), "203");
	cr_expect_str_eq(rank(EVICTION_LFU, 0, 50), "032",
		"of two that were used as often the older one is first");
	cr_expect_str_eq(rank(EVICTION_TTL, 30, 50), "2");
	cr_expect_str_eq(rank(EVICTION_TTL, 20, 50), "20");
	cr_expect_str_eq(rank(EVICTION_TTL, 31, 50), "", "none is old enough");
	cr_expect_str_eq(rank(EVICTION_TTL, 30, 5), "", "clocks that go backwards");
	cr_expect_str_eq(rank(EVICTION_MANUAL, 0, 50), "");
	cr_expect_eq(eviction_rank(EVICTION_LRU, NULL, 0, 0, 50), 0, "there is none");
	cr_expect_eq(eviction_rank(EVICTION_LRU, &busy, 1, 0, 50), 0);
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
