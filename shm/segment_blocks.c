/*
 * segment_blocks.c: two-level segregated fit over granules.
 *
 * Free blocks hang in lists by size class; two levels of bitmaps find the next class that has one
 * in a few instructions. Sizes below 32 granules have a class each; above, a power of two is cut
 * into 32. A list is searched to a fixed depth, so taking and giving are O(1) but for the
 * doubling of the table. Below the frontier comes before above it, and low before high among the
 * few blocks looked at, so that memory in use stays compact and the frontier can fall.
 *
 * A generation is (times this place was taken) << PLACE_BITS | place: it finds its block without a
 * search, and returns only after the same place was taken 2^40 times.
 *
 * Invariants: see segment_blocks.h. Whichever process owns the segment, on the thread that owns it.
 */
#include "shm/segment_blocks.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PLACE_BITS  24u
#define PLACES_MAX  (UINT32_C(1) << PLACE_BITS)
#define TABLE_FIRST 64u
#define SCAN_MAX    16u /* blocks looked at in one free list */

void segment_blocks_init(struct segment_blocks *b, uint64_t capacity)
{
	*b = (struct segment_blocks){
		.capacity = capacity, .spare = BLOCKS_NONE, .last = BLOCKS_NONE};
	memset(b->heads, 0xff, sizeof(b->heads)); /* BLOCKS_NONE in each */
}

void segment_blocks_deinit(struct segment_blocks *b)
{
	free(b->table);
	b->table = NULL;
}

static uint32_t class_of(uint64_t n)
{
	uint32_t log;

	if (n < BLOCKS_COLUMNS)
		return (uint32_t)n;
	log = 63u - (uint32_t)__builtin_clzll(n);
	return (log - 4) * BLOCKS_COLUMNS + ((uint32_t)(n >> (log - 5)) & (BLOCKS_COLUMNS - 1));
}

static uint32_t *head_of(struct segment_blocks *b, uint32_t class)
{
	return &b->heads[class / BLOCKS_COLUMNS][class % BLOCKS_COLUMNS];
}

/* The first class from `class` up that has a free block, or BLOCKS_NONE. */
static uint32_t next_class(const struct segment_blocks *b, uint32_t class)
{
	uint32_t row = class / BLOCKS_COLUMNS;
	uint32_t columns = b->columns[row] & (UINT32_MAX << (class % BLOCKS_COLUMNS));
	uint64_t rows;

	if (!columns) {
		rows = b->rows & (UINT64_MAX << (row + 1));
		if (!rows)
			return BLOCKS_NONE;
		row = (uint32_t)__builtin_ctzll(rows);
		columns = b->columns[row];
	}
	return row * BLOCKS_COLUMNS + (uint32_t)__builtin_ctz(columns);
}

static void list_free_block(struct segment_blocks *b, uint32_t i)
{
	struct block *block = &b->table[i];
	uint32_t class = class_of(block->n);
	uint32_t *head = head_of(b, class);

	block->used = false;
	block->prev = BLOCKS_NONE;
	block->next = *head;
	if (*head != BLOCKS_NONE)
		b->table[*head].prev = i;
	*head = i;
	b->columns[class / BLOCKS_COLUMNS] |= UINT32_C(1) << (class % BLOCKS_COLUMNS);
	b->rows |= UINT64_C(1) << (class / BLOCKS_COLUMNS);
}

static void unlist_free_block(struct segment_blocks *b, uint32_t i)
{
	struct block *block = &b->table[i];
	uint32_t class = class_of(block->n);
	uint32_t row = class / BLOCKS_COLUMNS;

	if (block->next != BLOCKS_NONE)
		b->table[block->next].prev = block->prev;
	if (block->prev != BLOCKS_NONE) {
		b->table[block->prev].next = block->next;
		return;
	}
	*head_of(b, class) = block->next;
	if (block->next != BLOCKS_NONE)
		return;
	b->columns[row] &= ~(UINT32_C(1) << (class % BLOCKS_COLUMNS));
	if (!b->columns[row])
		b->rows &= ~(UINT64_C(1) << row);
}

/* Make sure that place_take() finds one. */
static int place_reserve(struct segment_blocks *b)
{
	struct block *table;
	uint32_t cap;

	if (b->spare != BLOCKS_NONE || b->n_table < b->cap_table)
		return 0;
	if (b->cap_table == PLACES_MAX)
		return -ENOMEM;
	cap = b->cap_table ? b->cap_table * 2 : TABLE_FIRST;
	table = realloc(b->table, cap * sizeof(*table));
	if (!table)
		return -ENOMEM;
	b->table = table;
	b->cap_table = cap;
	return 0;
}

static uint32_t place_take(struct segment_blocks *b)
{
	uint32_t i = b->spare;

	if (i != BLOCKS_NONE) {
		b->spare = b->table[i].next;
		return i;
	}
	assert(b->n_table < b->cap_table);
	i = b->n_table++;
	b->table[i] = (struct block){.generation = i};
	return i;
}

static void place_give(struct segment_blocks *b, uint32_t i)
{
	b->table[i].used = false;
	b->table[i].next = b->spare;
	b->spare = i;
}

static uint32_t lowest_fit(struct segment_blocks *b, uint32_t class, uint64_t n)
{
	uint32_t i = *head_of(b, class);
	uint32_t best = BLOCKS_NONE;

	for (unsigned k = 0; k < SCAN_MAX && i != BLOCKS_NONE; k++) {
		const struct block *block = &b->table[i];

		if (block->n >= n && (best == BLOCKS_NONE || block->start < b->table[best].start))
			best = i;
		i = block->next;
	}
	return best;
}

/* A free block of at least n granules, or BLOCKS_NONE. */
static uint32_t find_free(struct segment_blocks *b, uint64_t n)
{
	uint32_t class = class_of(n);
	uint32_t best = lowest_fit(b, class, n);

	if (best != BLOCKS_NONE)
		return best;
	class = next_class(b, class + 1); /* each block there is large enough */
	return class == BLOCKS_NONE ? BLOCKS_NONE : lowest_fit(b, class, n);
}

/* Cut the unlisted block i down to n granules; what is left above them is free. */
static void split(struct segment_blocks *b, uint32_t i, uint64_t n)
{
	uint32_t j = place_take(b);
	struct block *block = &b->table[i], *rest = &b->table[j];

	rest->start = block->start + n;
	rest->n = block->n - n;
	rest->below = i;
	rest->above = block->above;
	b->table[block->above].below = j; /* exists: a free block is never the last */
	block->n = n;
	block->above = j;
	list_free_block(b, j);
}

static uint32_t append(struct segment_blocks *b, uint64_t n)
{
	uint32_t i = place_take(b);
	struct block *block = &b->table[i];

	block->start = b->frontier;
	block->n = n;
	block->below = b->last;
	block->above = BLOCKS_NONE;
	if (b->last != BLOCKS_NONE)
		b->table[b->last].above = i;
	b->last = i;
	b->frontier += n;
	return i;
}

int segment_blocks_take(struct segment_blocks *b, uint64_t n, struct block **ret_block)
{
	uint32_t i = find_free(b, n);
	struct block *block;

	if (i == BLOCKS_NONE && n > b->capacity - b->frontier)
		return BLOCKS_E_FULL;
	if ((i == BLOCKS_NONE || b->table[i].n > n) && place_reserve(b) < 0)
		return -ENOMEM;
	if (i == BLOCKS_NONE) {
		i = append(b, n);
	} else {
		unlist_free_block(b, i);
		if (b->table[i].n > n)
			split(b, i, n);
	}
	block = &b->table[i];
	block->used = true;
	block->generation += UINT64_C(1) << PLACE_BITS;
	b->used += n;
	b->n_used++;
	*ret_block = block;
	return 0;
}

struct block *segment_blocks_find(const struct segment_blocks *b, uint64_t generation)
{
	uint64_t i = generation & (PLACES_MAX - 1);

	if (i >= b->n_table || !b->table[i].used || b->table[i].generation != generation)
		return NULL;
	return &b->table[i];
}

/* Join block `i` with the one above it; both are unlisted, i takes over. */
static void join_above(struct segment_blocks *b, uint32_t i)
{
	struct block *block = &b->table[i];
	uint32_t j = block->above;

	block->n += b->table[j].n;
	block->above = b->table[j].above;
	if (block->above != BLOCKS_NONE)
		b->table[block->above].below = i;
	else
		b->last = i;
	place_give(b, j);
}

static void frontier_fall(struct segment_blocks *b)
{
	uint32_t i = b->last;

	b->frontier = b->table[i].start;
	b->last = b->table[i].below;
	if (b->last != BLOCKS_NONE)
		b->table[b->last].above = BLOCKS_NONE;
	place_give(b, i);
}

void segment_blocks_give(struct segment_blocks *b, struct block *block)
{
	uint32_t i = (uint32_t)(block - b->table);

	assert(block->used);
	b->used -= block->n;
	b->n_used--;
	if (block->above != BLOCKS_NONE && !b->table[block->above].used) {
		unlist_free_block(b, block->above);
		join_above(b, i);
	}
	if (block->below != BLOCKS_NONE && !b->table[block->below].used) {
		i = block->below;
		unlist_free_block(b, i);
		join_above(b, i);
	}
	if (i == b->last)
		frontier_fall(b);
	else
		list_free_block(b, i);
}
