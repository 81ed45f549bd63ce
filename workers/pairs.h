/* pairs.h: key and value strings that outlive the message they came in. */
#ifndef WORKERS_PAIRS_H
#define WORKERS_PAIRS_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct pairs {
	struct wire_pair *items; /* own, and so are the strings */
	size_t n;
	/* own, one a pair: it was asked for, or told as one that was not. Any thread sets it. */
	atomic_bool *asked;
};

/* Copy n pairs into a zeroed `p`. -ENOMEM (p is still to be deinit'ed). */
_must_use_ int pairs_copy(struct pairs *p, const struct wire_pair *items, size_t n);
/* Accepts a zeroed object. */
void pairs_deinit(struct pairs *p);
/* Pair i was asked for. */
void pairs_ask(const struct pairs *p, size_t i);
/* What follows `prefix` in the key of a pair that nobody asked for; NULL: there is none left. Each is told once. */
const char *pairs_next_unasked(const struct pairs *p, const char *prefix);
/* The value of `key` among n pairs, or NULL; the last one where a key comes twice. */
const char *pairs_find(const struct wire_pair *items, size_t n, const char *key);

#endif
