/* eviction.c: which model makes room. Daemon process. */
#include "models/eviction.h"

#include <string.h>

static bool may_go(enum eviction_policy policy, const struct eviction_model *m, uint64_t ttl_ns,
	uint64_t now_ns)
{
	if (m->busy || policy == EVICTION_MANUAL)
		return false;
	return policy != EVICTION_TTL || (m->used_ns <= now_ns && now_ns - m->used_ns >= ttl_ns);
}

/* Sooner than b? */
static bool goes_first(
	enum eviction_policy policy, const struct eviction_model *a, const struct eviction_model *b)
{
	if (policy == EVICTION_LFU && a->n_uses != b->n_uses)
		return a->n_uses < b->n_uses;
	return a->used_ns < b->used_ns;
}

size_t eviction_choose(enum eviction_policy policy, const struct eviction_model *models, size_t n,
	uint64_t ttl_ns, uint64_t now_ns)
{
	size_t chosen = n;

	for (size_t i = 0; i < n; i++) {
		if (may_go(policy, &models[i], ttl_ns, now_ns) &&
			(chosen == n || goes_first(policy, &models[i], &models[chosen])))
			chosen = i;
	}
	return chosen;
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
