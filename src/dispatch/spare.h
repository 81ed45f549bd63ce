/* spare.h: blocks of one size kept for reuse, so that a steady load costs no malloc. */
#ifndef DISPATCH_SPARE_H
#define DISPATCH_SPARE_H

#include <stdint.h>

#include "base/cleanup.h"

/* Zeroed: empty. The first bytes of a kept block are used for the chain. */
struct spare {
	void *first; /* own: a chain of blocks of malloc() */
	uint32_t n;
};

/* One that was given back; NULL: there is none. The caller owns it. */
void *spare_take(struct spare *s);
/* Keep `block` (own, of malloc(), at least a pointer long), or free it when `max` are kept. */
void spare_give(struct spare *s, void *block, uint32_t max);
/* Free all. */
void spare_clear(struct spare *s);

#endif
