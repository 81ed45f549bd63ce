/*
 * eviction.h: which model makes room for another one, and whether that is needed at all. Pure.
 */
#ifndef MODELS_EVICTION_H
#define MODELS_EVICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum eviction_policy {
	EVICTION_LRU, /* the one that was not used for longest */
	EVICTION_LFU, /* the one that was used least often since it was loaded; of several the one of LRU */
	EVICTION_TTL,	 /* LRU, of those alone that were not used for ttl */
	EVICTION_MANUAL, /* none: callers unload */
};

/* A model that is loaded. */
struct eviction_model {
	uint64_t used_ns; /* when it was used last, or loaded */
	uint64_t n_uses;
	bool busy; /* it has requests, references or a load under way: it stays */
	void *who; /* the caller's */
};

/* Those that may go come to the front, who goes first is first. Returns how many they are. */
size_t eviction_rank(enum eviction_policy policy, struct eviction_model *models, size_t n,
	uint64_t ttl_ns, uint64_t now_ns);
/* "lru", "lfu", "ttl", "manual"; false: none of them. */
bool eviction_parse(const char *text, enum eviction_policy *ret_policy);

#endif
