/*
 * segment_pages.c: two sets of bits. Whichever process owns the segment, on the thread that owns it.
 */
#include "shm/segment_pages.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define WORD_BITS 64u

static size_t n_words(uint64_t n)
{
	return (size_t)((n + WORD_BITS - 1) / WORD_BITS);
}

int segment_pages_init(struct segment_pages *p, uint64_t n)
{
	*p = (struct segment_pages){.n = n};
	p->there = calloc(n_words(n) + 1, sizeof(*p->there));
	p->bad = calloc(n_words(n) + 1, sizeof(*p->bad));
	return p->there && p->bad ? 0 : -ENOMEM;
}

void segment_pages_deinit(struct segment_pages *p)
{
	free(p->there);
	free(p->bad);
	*p = (struct segment_pages){0};
}

/* The bits of [from, to) that are in word i. */
static uint64_t mask_of(uint64_t from, uint64_t to, uint64_t i)
{
	uint64_t start = i * WORD_BITS;
	uint64_t low = from > start ? from - start : 0;
	uint64_t high = to - start < WORD_BITS ? to - start : WORD_BITS;

	assert(low < high);
	return (UINT64_MAX << low) & (UINT64_MAX >> (WORD_BITS - high));
}

#define each_word(i, from, to)                                                                     \
	uint64_t i = (from) / WORD_BITS;                                                           \
	i *WORD_BITS < (to) && (from) < (to);                                                      \
	i++

bool segment_pages_all_there(const struct segment_pages *p, uint64_t from, uint64_t to)
{
	for (each_word(i, from, to)) {
		if (~p->there[i] & mask_of(from, to, i))
			return false;
	}
	return true;
}

bool segment_pages_any_bad(const struct segment_pages *p, uint64_t from, uint64_t to)
{
	if (p->n_bad == 0)
		return false;
	for (each_word(i, from, to)) {
		if (p->bad[i] & mask_of(from, to, i))
			return true;
	}
	return false;
}

uint64_t segment_pages_missing(const struct segment_pages *p, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (each_word(i, from, to))
		n += (uint64_t)__builtin_popcountll(~p->there[i] & mask_of(from, to, i));
	return n;
}

static bool is_open(const struct segment_pages *p, uint64_t i)
{
	return !((p->there[i / WORD_BITS] | p->bad[i / WORD_BITS]) >> (i % WORD_BITS) & 1);
}

/* The first part from `from` on that is open, or `to`. */
static uint64_t first_open(const struct segment_pages *p, uint64_t from, uint64_t to)
{
	for (each_word(i, from, to)) {
		uint64_t open = ~(p->there[i] | p->bad[i]) & mask_of(from, to, i);

		if (open)
			return i * WORD_BITS + (uint64_t)__builtin_ctzll(open);
	}
	return to;
}

bool segment_pages_next(struct segment_pages *p, uint64_t from, uint64_t to, uint64_t max,
	uint64_t *ret_from, uint64_t *ret_to)
{
	uint64_t start = first_open(p, from > p->low ? from : p->low, to);
	uint64_t end = start;

	if (from <= p->low && start > p->low)
		p->low = start;
	if (start >= to)
		return false;
	while (end < to && end - start < max && is_open(p, end))
		end++;
	*ret_from = start;
	*ret_to = end;
	return true;
}

void segment_pages_set(struct segment_pages *p, uint64_t from, uint64_t to)
{
	for (each_word(i, from, to)) {
		uint64_t mask = mask_of(from, to, i);

		p->n_there += (uint64_t)__builtin_popcountll(mask & ~p->there[i]);
		p->n_bad -= (uint64_t)__builtin_popcountll(mask & p->bad[i]);
		p->there[i] |= mask;
		p->bad[i] &= ~mask;
	}
}

void segment_pages_spoil(struct segment_pages *p, uint64_t from, uint64_t to)
{
	for (each_word(i, from, to)) {
		uint64_t mask = mask_of(from, to, i) & ~p->there[i];

		p->n_bad += (uint64_t)__builtin_popcountll(mask & ~p->bad[i]);
		p->bad[i] |= mask;
	}
}

void segment_pages_forgive(struct segment_pages *p)
{
	if (p->n_bad == 0)
		return;
	memset(p->bad, 0, n_words(p->n) * sizeof(*p->bad));
	p->n_bad = 0;
	p->low = 0;
}
