/* eviction.c: which model makes room. Daemon process. */
#include "models/eviction.h"

#include <stdlib.h>
#include <string.h>

static bool may_go(enum eviction_policy policy, const struct eviction_model *m, uint64_t ttl_ns,
	uint64_t now_ns)
{
	if (m->busy || policy == EVICTION_MANUAL)
		return false;
	return policy != EVICTION_TTL || (m->used_ns <= now_ns && now_ns - m->used_ns >= ttl_ns);
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_used(const void *x, const void *y)
{
	const struct eviction_model *a = x, *b = y;

	return compare(a->used_ns, b->used_ns);
}

static int compare_uses(const void *x, const void *y)
{
	const struct eviction_model *a = x, *b = y;
	int order = compare(a->n_uses, b->n_uses);

	return order ? order : compare_used(x, y);
}

size_t eviction_rank(enum eviction_policy policy, struct eviction_model *models, size_t n,
	uint64_t ttl_ns, uint64_t now_ns)
{
	size_t n_may = 0;

	for (size_t i = 0; i < n; i++) {
		struct eviction_model m = models[i];

		if (!may_go(policy, &m, ttl_ns, now_ns))
			continue;
		models[i] = models[n_may];
		models[n_may++] = m;
	}
	if (n_may > 0)
		qsort(models, n_may, sizeof(*models),
			policy == EVICTION_LFU ? compare_uses : compare_used);
	return n_may;
}

bool eviction_parse(const char *text, enum eviction_policy *ret_policy)
{
	static const char *const words[] = {
		[EVICTION_LRU] = "lru",
		[EVICTION_LFU] = "lfu",
		[EVICTION_TTL] = "ttl",
		[EVICTION_MANUAL] = "manual",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*ret_policy = (enum eviction_policy)i;
		return true;
	}
	return false;
}
