/*
 * blocks.c: free lists of small memory blocks, one list a power of two. Under AddressSanitizer
 * nothing is kept, so that it sees every use after free. Daemon process, loop thread.
 */
#include "http2/blocks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/poison.h"

#define KEEP_BYTES (POISON_KNOWN ? (size_t)0 : BLOCKS_KEEP_BYTES)

struct block {
	struct block *next;
};

/* Powers of two. */
#define SMALLEST_BITS 6u

static size_t class_bytes(unsigned class)
{
	return (size_t)1 << (SMALLEST_BITS + class);
}

/* The bits that n - 1 has more than the smallest. BLOCKS_CLASSES or more: too large for a list. */
static unsigned class_of(size_t n)
{
	size_t more = n > 0 ? (n - 1) >> (SMALLEST_BITS - 1) : 0;

	return 63 - (unsigned)__builtin_clzll(more | 1);
}

void blocks_init(struct blocks *b)
{
	*b = (struct blocks){0};
}

void blocks_deinit(struct blocks *b)
{
	assert(b->n_taken == 0);
	for (unsigned i = 0; i < BLOCKS_CLASSES; i++) {
		while (b->free[i]) {
			struct block *block = b->free[i];

			b->free[i] = block->next;
			free(block);
		}
		b->n_free[i] = 0;
	}
}

void *blocks_take(struct blocks *b, size_t n)
{
	unsigned class = class_of(n);
	struct block *block = class < BLOCKS_CLASSES ? b->free[class] : NULL;

	if (block) {
		b->free[class] = block->next;
		b->n_free[class]--;
		/* Given a while ago, so that the one who takes it would wait for it. */
		__builtin_prefetch(block->next);
	} else {
		block = malloc(class < BLOCKS_CLASSES ? class_bytes(class) : n);
	}
	b->n_taken += block != NULL;
	return block;
}

void blocks_give(struct blocks *b, void *memory, size_t n)
{
	unsigned class = class_of(n);
	struct block *block = memory;

	if (!block)
		return;
	assert(b->n_taken > 0);
	b->n_taken--;
	if (class >= BLOCKS_CLASSES || b->n_free[class] >= KEEP_BYTES >> (SMALLEST_BITS + class)) {
		free(block);
		return;
	}
	block->next = b->free[class];
	b->free[class] = block;
	b->n_free[class]++;
}
