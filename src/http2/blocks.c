/*
 * blocks.c: free lists of small memory blocks, one list a power of two. Under AddressSanitizer
 * nothing is kept, so that it sees every use after free. Daemon process, loop thread.
 */
#include "http2/blocks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/poison.h"

#define KEEP_BYTES (POISON_KNOWN ? (size_t)0 : BLOCKS_KEEP_BYTES)

#define SMALLEST ((size_t)64)

struct block {
	struct block *next;
};

static size_t class_bytes(unsigned class)
{
	return SMALLEST << class;
}

/* BLOCKS_CLASSES: too large for a list. */
static unsigned class_of(size_t n)
{
	unsigned class;

	if (n <= SMALLEST)
		return 0;
	/* Bits that n - 1 has more than the smallest. */
	class = (unsigned)(__builtin_clzll(SMALLEST) - __builtin_clzll(n - 1)) + 1;
	return class < BLOCKS_CLASSES ? class : BLOCKS_CLASSES;
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
	if (class >= BLOCKS_CLASSES || (b->n_free[class] + 1) * class_bytes(class) > KEEP_BYTES) {
		free(block);
		return;
	}
	block->next = b->free[class];
	b->free[class] = block;
	b->n_free[class]++;
}
