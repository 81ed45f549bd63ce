/* pairs.h: key and value strings that outlive the message they came in. */
#ifndef WORKERS_PAIRS_H
#define WORKERS_PAIRS_H

#include <stddef.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct pairs {
	struct wire_pair *items; /* own, and so are the strings */
	size_t n;
};

/* Copy n pairs into a zeroed `p`. -ENOMEM (p is still to be deinit'ed). */
_must_use_ int pairs_copy(struct pairs *p, const struct wire_pair *items, size_t n);
/* Accepts a zeroed object. */
void pairs_deinit(struct pairs *p);
/* The value of `key` among n pairs, or NULL; the last one where a key comes twice. */
const char *pairs_find(const struct wire_pair *items, size_t n, const char *key);

#endif
