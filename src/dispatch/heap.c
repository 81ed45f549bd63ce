/*
 * heap.c: a pairing heap. Invariant: a node is not later than its children; the root has neither
 * siblings nor a parent. Pure data structure, any thread.
 */
#include "dispatch/heap.h"

#include <stddef.h>

/* Two roots become one. */
static struct heap_node *join(struct heap_node *a, struct heap_node *b)
{
	struct heap_node *under;

	if (!a || !b)
		return a ? a : b;
	if (b->at_ns < a->at_ns) {
		under = a;
		a = b;
	} else {
		under = b;
	}
	under->prev = a;
	under->next = a->child;
	if (a->child)
		a->child->prev = under;
	a->child = under;
	return a;
}

/* Take the first of a row of siblings off; the rest is returned. */
static struct heap_node *split(struct heap_node *first)
{
	struct heap_node *rest = first->next;

	first->next = NULL;
	first->prev = NULL;
	return rest;
}

/* A row of siblings becomes one tree: in pairs from the left, then all from the right. */
static struct heap_node *join_row(struct heap_node *row)
{
	struct heap_node *pairs = NULL;
	struct heap_node *root = NULL;

	while (row) {
		struct heap_node *a = row;
		struct heap_node *b = split(a);

		row = b ? split(b) : NULL;
		a = join(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct heap_node *next = split(pairs);

		root = join(root, pairs);
		pairs = next;
	}
	return root;
}

void heap_add(struct heap *h, struct heap_node *n, uint64_t at_ns)
{
	*n = (struct heap_node){.at_ns = at_ns};
	h->root = join(h->root, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *below = join_row(n->child);

	if (!n->prev) {
		h->root = below;
		return;
	}
	if (n->prev->child == n)
		n->prev->child = n->next;
	else
		n->prev->next = n->next;
	if (n->next)
		n->next->prev = n->prev;
	h->root = join(h->root, below);
}
