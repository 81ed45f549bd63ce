/*
 * segment_blocks_test.c: the allocator against its invariants and against a model that marks each
 * granule, driven by random takes and gives.
 */
#include "shm/segment_blocks.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/failalloc.h"

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* How often place i hangs in a free list. */
static unsigned listings(const struct segment_blocks *b, uint32_t i)
{
	unsigned n = 0;

	for (uint32_t row = 0; row < BLOCKS_ROWS; row++) {
		if (!(b->rows >> row & 1))
			continue;
		for (uint32_t column = 0; column < BLOCKS_COLUMNS; column++) {
			uint32_t at = b->heads[row][column];

			cr_assert_eq(at != BLOCKS_NONE, b->columns[row] >> column & 1);
			for (; at != BLOCKS_NONE; at = b->table[at].next)
				n += at == i;
		}
	}
	return n;
}

/* The invariants of segment_blocks.h. Walks from the top down. */
static void check(const struct segment_blocks *b, bool lists_too)
{
	uint64_t end = b->frontier, used = 0, n_used = 0;
	uint32_t above = BLOCKS_NONE;
	bool above_free = true; /* the untouched space */

	for (uint32_t i = b->last; i != BLOCKS_NONE; i = b->table[i].below) {
		const struct block *block = &b->table[i];

		cr_assert(block->n > 0 && block->start + block->n == end);
		cr_assert_eq(block->above, above);
		cr_assert(block->used || !above_free, "free neighbours");
		if (lists_too)
			cr_assert_eq(listings(b, i), block->used ? 0 : 1);
		used += block->used ? block->n : 0;
		n_used += block->used;
		end = block->start;
		above = i;
		above_free = !block->used;
	}
	cr_assert_eq(end, 0);
	cr_assert_eq(used, b->used);
	cr_assert_eq(n_used, b->n_used);
	cr_assert_leq(b->frontier, b->capacity);
}

static uint64_t take(struct segment_blocks *b, uint64_t n)
{
	struct block *block;

	cr_assert_eq(segment_blocks_take(b, n, &block), 0);
	cr_assert_eq(block->n, n);
	return block->generation;
}

static void give(struct segment_blocks *b, uint64_t generation)
{
	struct block *block = segment_blocks_find(b, generation);

	cr_assert_not_null(block);
	segment_blocks_give(b, block);
	cr_assert_null(segment_blocks_find(b, generation));
}

static uint64_t start_of(const struct segment_blocks *b, uint64_t generation)
{
	return segment_blocks_find(b, generation)->start;
}

Test(segment_blocks, frontier_rises_and_falls)
{
	struct segment_blocks b;
	uint64_t g[4];

	segment_blocks_init(&b, 100);
	for (int i = 0; i < 4; i++)
		g[i] = take(&b, 10);
	cr_assert_eq(b.frontier, 40);
	give(&b, g[2]);
	cr_assert_eq(b.frontier, 40);
	give(&b, g[3]);
	cr_assert_eq(b.frontier, 20);
	give(&b, g[0]);
	cr_assert_eq(b.frontier, 20);
	give(&b, g[1]);
	cr_assert(b.frontier == 0 && b.last == BLOCKS_NONE && b.rows == 0);
	segment_blocks_deinit(&b);
}

Test(segment_blocks, below_the_frontier_first)
{
	struct segment_blocks b;
	uint64_t g[6];

	segment_blocks_init(&b, 10000);
	for (int i = 0; i < 6; i++)
		g[i] = take(&b, 1001);
	give(&b, g[3]);
	give(&b, g[1]);
	cr_assert_eq(start_of(&b, take(&b, 1001)), 1001);
	cr_assert_eq(start_of(&b, take(&b, 1001)), 3003);
	cr_assert_eq(start_of(&b, take(&b, 1001)), 6006);
	segment_blocks_deinit(&b);
}

/* An exact fit is found though other blocks of its class are too small. */
Test(segment_blocks, fit_inside_of_a_class)
{
	struct segment_blocks b;
	uint64_t g[9];

	segment_blocks_init(&b, 100000);
	for (unsigned i = 0; i < 9; i++)
		g[i] = take(&b, i % 2 ? 1 : 1024 + i);
	give(&b, g[6]); /* first freed, so last in the list */
	for (unsigned i = 0; i < 6; i += 2)
		give(&b, g[i]);
	check(&b, true);
	cr_assert_eq(start_of(&b, take(&b, 1030)), 1024 + 1 + 1026 + 1 + 1028 + 1);
	check(&b, true);
	segment_blocks_deinit(&b);
}

/* None of its own class is large enough: a larger class comes before the untouched space. */
Test(segment_blocks, fit_in_a_larger_class)
{
	struct segment_blocks b;
	uint64_t g[4];

	segment_blocks_init(&b, 100000);
	for (unsigned i = 0; i < 4; i++)
		g[i] = take(&b, i % 2 ? 1 : 1024 << i);
	give(&b, g[0]);
	give(&b, g[2]);
	cr_assert_eq(start_of(&b, take(&b, 1025)), 1025);
	check(&b, true);
	segment_blocks_deinit(&b);
}

Test(segment_blocks, joins_both_sides)
{
	struct segment_blocks b;
	uint64_t g[5];

	segment_blocks_init(&b, 50);
	for (int i = 0; i < 5; i++)
		g[i] = take(&b, 10);
	give(&b, g[0]);
	give(&b, g[2]);
	check(&b, true);
	give(&b, g[1]);
	check(&b, true);
	cr_assert_eq(start_of(&b, take(&b, 30)), 0);
	segment_blocks_deinit(&b);
}

Test(segment_blocks, full_and_full_again)
{
	struct segment_blocks b;
	struct block *block = NULL;
	uint64_t g;

	segment_blocks_init(&b, 100);
	g = take(&b, 100);
	cr_assert_eq(segment_blocks_take(&b, 1, &block), BLOCKS_E_FULL);
	give(&b, g);
	(void)take(&b, 1);
	cr_assert_eq(segment_blocks_take(&b, 100, &block), BLOCKS_E_FULL);
	cr_assert_null(block);
	(void)take(&b, 99);
	segment_blocks_deinit(&b);
}

Test(segment_blocks, every_size_class)
{
	uint64_t capacity = (UINT64_C(1) << 57) - 1;
	struct segment_blocks b;

	segment_blocks_init(&b, capacity);
	for (unsigned shift = 0; shift < 56; shift++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t n = (UINT64_C(1) << shift) + (uint64_t)delta;
			uint64_t hole, fence;

			if (n == 0)
				continue;
			hole = take(&b, n);
			fence = take(&b, 1);
			give(&b, hole);
			cr_assert_eq(start_of(&b, take(&b, n)), 0, "%u %d", shift, delta);
			check(&b, true);
			segment_blocks_give(&b, &b.table[b.table[b.last].below]);
			give(&b, fence);
			cr_assert_eq(b.frontier, 0);
		}
	}
	give(&b, take(&b, capacity));
	segment_blocks_deinit(&b);
}

Test(segment_blocks, unknown_generations)
{
	struct segment_blocks b;
	uint64_t g;

	segment_blocks_init(&b, 100);
	cr_assert_null(segment_blocks_find(&b, 0));
	cr_assert_null(segment_blocks_find(&b, UINT64_MAX));
	g = take(&b, 10);
	cr_assert_neq(g, 0);
	for (unsigned bit = 0; bit < 64; bit++)
		cr_assert_null(segment_blocks_find(&b, g ^ UINT64_C(1) << bit));
	give(&b, g);
	cr_assert_neq(take(&b, 10), g);
	cr_assert_null(segment_blocks_find(&b, g));
	segment_blocks_deinit(&b);
}

Test(segment_blocks, lack_of_memory_changes_nothing)
{
	struct block *block = NULL;
	struct segment_blocks b;
	uint64_t g;

	segment_blocks_init(&b, 1000);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_eq(segment_blocks_take(&b, 10, &block), -ENOMEM);
	cr_assert(!block && b.frontier == 0);
	failalloc_disarm();
	g = take(&b, 10);
	while (b.n_table < b.cap_table)
		(void)take(&b, 1);
	give(&b, g);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_assert_eq(segment_blocks_take(&b, 9, &block), -ENOMEM); /* would split */
	check(&b, true);
	cr_assert_eq(segment_blocks_take(&b, 10, &block), 0); /* needs no new place */
	failalloc_disarm();
	check(&b, true);
	segment_blocks_deinit(&b);
}

#define CAPACITY 4096u
#define LIVE_MAX 512u

struct model {
	struct segment_blocks blocks;
	uint64_t live[LIVE_MAX];
	unsigned n_live;
	uint8_t taken[CAPACITY]; /* by granule */
	uint64_t random;
	uint64_t longest; /* granules asked for at most */
};

static void mark(struct model *m, const struct block *block, uint8_t value)
{
	for (uint64_t i = block->start; i < block->start + block->n; i++) {
		cr_assert_eq(m->taken[i], !value, "granule %ju", (uintmax_t)i);
		m->taken[i] = value;
	}
}

static void model_take(struct model *m)
{
	uint64_t n = 1 + next_random(&m->random) % m->longest;
	struct block *block;
	int r = segment_blocks_take(&m->blocks, n, &block);

	if (r) {
		cr_assert_eq(r, BLOCKS_E_FULL);
		cr_assert_gt(n, CAPACITY - m->blocks.frontier);
		return;
	}
	cr_assert_leq(block->start + block->n, CAPACITY);
	cr_assert_eq(block->n, n);
	mark(m, block, 1);
	m->live[m->n_live++] = block->generation;
}

static void model_give(struct model *m)
{
	unsigned i = (unsigned)(next_random(&m->random) % m->n_live);
	struct block *block = segment_blocks_find(&m->blocks, m->live[i]);

	cr_assert_not_null(block);
	mark(m, block, 0);
	give(&m->blocks, m->live[i]);
	m->live[i] = m->live[--m->n_live];
}

static void model_run(uint64_t seed, uint64_t longest, unsigned steps)
{
	struct model *m = calloc(1, sizeof(*m));

	m->random = seed;
	m->longest = longest;
	segment_blocks_init(&m->blocks, CAPACITY);
	for (unsigned step = 0; step < steps; step++) {
		bool more = next_random(&m->random) % 1000 < (step / 512 % 2 ? 300 : 700);

		if (m->n_live < LIVE_MAX && (more || m->n_live == 0))
			model_take(m);
		else
			model_give(m);
		check(&m->blocks, step % 64 == 0);
	}
	while (m->n_live > 0)
		model_give(m);
	cr_assert(m->blocks.frontier == 0 && m->blocks.used == 0 && m->blocks.rows == 0);
	segment_blocks_deinit(&m->blocks);
	free(m);
}

Test(segment_blocks, random_against_a_model)
{
	static const uint64_t longest[] = {1, 3, 31, 33, 100, 1000, CAPACITY + 10};

	for (size_t i = 0; i < sizeof(longest) / sizeof(longest[0]); i++) {
		for (uint64_t seed = 1; seed <= 3; seed++)
			model_run(seed * 0x9e3779b97f4a7c15u, longest[i], 4000);
	}
}
