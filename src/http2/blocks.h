/*
 * blocks.h: free lists of small memory blocks, so that a call in the steady state allocates
 * nothing. Sizes are rounded up to powers of two; each size keeps at most BLOCKS_KEEP_BYTES. Larger
 * blocks come from malloc. Single-threaded, one a transport.
 */
#ifndef HTTP2_BLOCKS_H
#define HTTP2_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKS_CLASSES	  8u /* 64 bytes .. 8 KiB */
#define BLOCKS_KEEP_BYTES ((size_t)1 << 20)

struct block;

struct blocks {
	struct block *free[BLOCKS_CLASSES]; /* own */
	size_t n_free[BLOCKS_CLASSES];
	size_t n_taken; /* blocks out now */
};

void blocks_init(struct blocks *b);
/* Every block must be back (asserted). */
void blocks_deinit(struct blocks *b);
/* At least n bytes, uninitialised; NULL without memory. */
void *blocks_take(struct blocks *b, size_t n);
/* n as it was taken with. Accepts NULL. */
void blocks_give(struct blocks *b, void *memory, size_t n);

#endif
