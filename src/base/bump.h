/*
 * bump.h: pieces cut one behind the other from a block of the caller's, and all forgotten at once.
 * What is not cut is poisoned (base/poison.h), so AddressSanitizer sees who goes beyond a piece. Header
 * only.
 */
#ifndef BASE_BUMP_H
#define BASE_BUMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/poison.h"

/* All zero is an empty block. */
struct bump {
	uint8_t *start; /* borrow: the block */
	uint8_t *at;	/* what is cut next */
	uint8_t *end;
};

/* Cut from `block`, which outlives b. Poisoning a large one takes its time: once, then bump_reset(). */
static inline void bump_init(struct bump *b, void *block, size_t n)
{
	b->start = block;
	b->at = b->start;
	b->end = n > 0 ? b->start + n : b->start;
	poison(block, n);
}

/* Forget what was cut; costs as much as that was. */
static inline void bump_reset(struct bump *b)
{
	poison(b->start, (size_t)(b->at - b->start));
	b->at = b->start;
}

/* The block is the caller's again, for any use. b is empty. */
static inline void bump_deinit(struct bump *b)
{
	unpoison(b->start, (size_t)(b->end - b->start));
	*b = (struct bump){0};
}

/* n bytes, not cleared; align: a power of two. NULL: there are not so many left. */
static inline void *bump_take(struct bump *b, size_t n, size_t align)
{
	size_t left = (size_t)(b->end - b->at);
	size_t gap = (0 - (uintptr_t)b->at) & (align - 1);
	uint8_t *piece;

	if (gap > left || n > left - gap)
		return NULL;
	piece = b->at + gap;
	b->at = piece + n;
	unpoison(piece, n);
	return piece;
}

#endif
