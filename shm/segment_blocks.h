/*
 * segment_blocks.h: the arithmetic of a segment: which granules are taken, which are free. Knows no
 * memory but its own table in the private heap; used by segment.c alone.
 *
 * Two-level segregated fit. The granules [0, frontier) are cut into blocks without gaps, each used
 * or free; two free blocks are never neighbours and the last block is never free. Everything from
 * the frontier up is untouched space and belongs to no block.
 */
#ifndef SHM_SEGMENT_BLOCKS_H
#define SHM_SEGMENT_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define BLOCKS_COLUMNS 32u /* classes per power of two: a class spans at most 1/32 of its sizes */
#define BLOCKS_ROWS    54u /* enough for 2^57 granules */
#define BLOCKS_NONE    UINT32_MAX

enum {
	BLOCKS_E_FULL = 1, /* no free block is large enough */
};

struct block {
	uint64_t start;	       /* granule */
	uint64_t n;	       /* granules */
	uint64_t generation;   /* of the last allocation; its low bits are the block's place */
	uint64_t length;       /* bytes asked for; kept for segment.c while used */
	uint32_t below, above; /* neighbours by address, or BLOCKS_NONE */
	uint32_t prev, next;   /* in a free list (next: also in the list of spare places) */
	bool used;
};

struct segment_blocks {
	uint64_t capacity; /* granules */
	uint64_t frontier; /* granule: the end of the last block */
	uint64_t used;	   /* granules in used blocks */
	uint64_t n_used;   /* used blocks */

	struct block *table; /* own; blocks are named by their place in it */
	uint32_t n_table;    /* places ever taken */
	uint32_t cap_table;
	uint32_t spare; /* places given back */
	uint32_t last;	/* the block that ends at the frontier */

	uint64_t rows;		       /* bit set: the row has a free block */
	uint32_t columns[BLOCKS_ROWS]; /* bit set: the class has a free block */
	uint32_t heads[BLOCKS_ROWS][BLOCKS_COLUMNS];
};

/* capacity < 2^57 granules, > 0. Allocates nothing. */
void segment_blocks_init(struct segment_blocks *b, uint64_t capacity);
void segment_blocks_deinit(struct segment_blocks *b);

/*
 * Take n > 0 granules. ret_block is valid until the next segment_blocks_take() or segment_blocks_give(); its
 * generation has never been in use before and is not 0.
 *
 * BLOCKS_E_FULL  as above
 * -ENOMEM        the table could not grow; nothing has changed
 */
_must_use_ int segment_blocks_take(struct segment_blocks *b, uint64_t n, struct block **ret_block);
/* The used block of this generation, or NULL. Any number may be asked for. */
struct block *segment_blocks_find(const struct segment_blocks *b, uint64_t generation);
/* Give a used block back. Never allocates. */
void segment_blocks_give(struct segment_blocks *b, struct block *block);

#endif
