/*
 * heap.h: an intrusive pairing heap keyed by time: add is O(1), remove O(log n) amortised, and
 * neither allocates, so neither can fail.
 */
#ifndef DISPATCH_HEAP_H
#define DISPATCH_HEAP_H

#include <stdint.h>

/* Embedded in what waits. Its fields are meaningless while it is in no heap. */
struct heap_node {
	struct heap_node *child; /* first of those that are not earlier */
	struct heap_node *next;	 /* right sibling */
	struct heap_node *prev;	 /* left sibling, or the parent of a first child; NULL: root */
	uint64_t at_ns;
};

/* Zeroed: empty. */
struct heap {
	struct heap_node *root; /* borrow: the earliest; NULL: empty */
};

void heap_add(struct heap *h, struct heap_node *n, uint64_t at_ns);
/* `n` is in `h`. */
void heap_remove(struct heap *h, struct heap_node *n);

#endif
