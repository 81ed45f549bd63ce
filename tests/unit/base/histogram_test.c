/* histogram_test.c: which bucket a figure is in. */
#include "base/histogram.h"

#include <criterion/criterion.h>

/* The bucket that one figure went to. */
static unsigned bucket_of(unsigned shift, uint64_t figure)
{
	struct histogram h = {.sum = 0};
	unsigned at = HISTOGRAM_BUCKETS;

	histogram_add(&h, shift, figure);
	cr_assert_eq(h.sum, figure);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		cr_assert(h.counts[i] == 0 || (h.counts[i] == 1 && at == HISTOGRAM_BUCKETS));
		if (h.counts[i])
			at = i;
	}
	return at;
}

Test(histogram, a_bound_belongs_to_its_bucket)
{
	for (unsigned shift = 0; shift <= HISTOGRAM_SHIFT_NS; shift += HISTOGRAM_SHIFT_NS) {
		for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
			uint64_t bound = histogram_bound(shift, i);

			cr_expect_eq(bucket_of(shift, bound), i);
			cr_expect_eq(bucket_of(shift, bound + 1), i + 1);
			cr_expect_leq(bucket_of(shift, bound - 1), i);
		}
	}
}

Test(histogram, the_ends)
{
	cr_expect_eq(bucket_of(HISTOGRAM_SHIFT_NS, 0), 0);
	cr_expect_eq(bucket_of(HISTOGRAM_SHIFT_NS, 1), 0);
	cr_expect_eq(bucket_of(HISTOGRAM_SHIFT_COUNT, 0), 0);
	cr_expect_eq(bucket_of(HISTOGRAM_SHIFT_COUNT, 3), 2);
	cr_expect_eq(bucket_of(HISTOGRAM_SHIFT_NS, UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

Test(histogram, sums)
{
	struct histogram h = {.sum = 0};

	for (uint64_t i = 1; i <= 100; i++)
		histogram_add(&h, HISTOGRAM_SHIFT_COUNT, i);
	cr_expect_eq(h.sum, 5050);
	cr_expect_eq(h.counts[6], 32); /* 33 to 64 */
}
