/* Tests of heap.c against a sorted array. */
#include "dispatch/heap.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stddef.h>

#define N 200

static uint64_t earliest(const struct heap_node *nodes, const bool *in)
{
	uint64_t best = UINT64_MAX;

	for (size_t i = 0; i < N; i++) {
		if (in[i] && nodes[i].at_ns < best)
			best = nodes[i].at_ns;
	}
	return best;
}

static uint64_t root_of(const struct heap *h)
{
	return h->root ? h->root->at_ns : UINT64_MAX;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

Test(heap, root_is_the_earliest_after_any_adds_and_removals)
{
	struct heap_node nodes[N];
	bool in[N] = {false};
	struct heap h = {0};
	uint32_t seed = 1;

	for (size_t step = 0; step < 20000; step++) {
		size_t i = next_random(&seed) % N;

		if (in[i])
			heap_remove(&h, &nodes[i]);
		else
			heap_add(&h, &nodes[i], next_random(&seed) % 100);
		in[i] = !in[i];
		cr_assert_eq(root_of(&h), earliest(nodes, in), "step %zu", step);
	}
}

Test(heap, comes_out_in_order)
{
	struct heap_node nodes[N];
	struct heap h = {0};
	uint64_t last = 0;

	for (size_t i = 0; i < N; i++)
		heap_add(&h, &nodes[i], (i * 77) % N);
	for (size_t i = 0; i < N; i++) {
		struct heap_node *n = h.root;

		cr_assert(n->at_ns >= last);
		last = n->at_ns;
		heap_remove(&h, n);
	}
	cr_expect_null(h.root);
}

Test(heap, equal_times)
{
	struct heap_node nodes[3];
	struct heap h = {0};

	for (size_t i = 0; i < 3; i++)
		heap_add(&h, &nodes[i], 7);
	heap_remove(&h, &nodes[1]);
	heap_remove(&h, &nodes[0]);
	cr_expect_eq(h.root, &nodes[2]);
	heap_remove(&h, &nodes[2]);
	cr_expect_null(h.root);
}
