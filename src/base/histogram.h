/*
 * histogram.h: how often a figure was how large: a bucket for each power of two, filled in a few instructions.
 * Header only.
 *
 * Bucket i counts figures of at most 2^(shift + i), and above that of the one before it; the last one all that are
 * larger. The shift is the owner's: the same for all that is done with one histogram.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 28u

/* Times in ns: 1.024 us to 68.7 s, and what took longer. */
#define HISTOGRAM_SHIFT_NS 10u
/* Numbers of things: 1, 2, 4 ... */
#define HISTOGRAM_SHIFT_COUNT 0u

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t sum;
};

/* The largest figure in bucket i; the last one has no bound. */
static inline uint64_t histogram_bound(unsigned shift, unsigned i)
{
	return UINT64_C(1) << (shift + i);
}

static inline void histogram_add(struct histogram *h, unsigned shift, uint64_t figure)
{
	unsigned i = 0;

	if (figure > histogram_bound(shift, 0))
		i = 64u - (unsigned)__builtin_clzll(figure - 1) - shift;
	h->counts[i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1]++;
	h->sum += figure;
}

#endif
