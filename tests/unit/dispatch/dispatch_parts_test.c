/* dispatch_parts_test.c: what dispatch says of itself. */
#include <criterion/criterion.h>

#include "fake_bed.h"

static struct bed bed;
static struct answer answer;

Test(dispatch_parts, what_is_done_is_counted)
{
	struct request *r;

	bed_init(&bed);
	bed_up(&bed);
	cr_expect_eq(dispatch_pool(bed.d), bed.pool);
	cr_expect_eq(dispatch_activity(bed.d), 0);
	r = bed_submit(&bed, bed.alpha, &answer);
	cr_expect_eq(dispatch_activity(bed.d), 1);
	cr_expect_eq(dispatch_load(bed.d), 1);
	cr_expect(arena_used(dispatch_arena(bed.d)) > 0);
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(dispatch_activity(bed.d), 2);
	cr_expect_eq(dispatch_load(bed.d), 0);
	cr_expect_eq(dispatch_counters(bed.d).requests_ok, 1);
	cr_expect_eq(dispatch_stalls(bed.d), 0);
	request_unref(r);
	bed_close(&bed);
}

Test(dispatch_parts, a_request_that_runs_alone)
{
	struct request *r[2];

	bed_init(&bed);
	bed_up(&bed);
	bed_expect(&bed, 0);
	cr_expect_eq(dispatch_lone_ns(bed.d), 0, "none runs");
	r[0] = bed_submit(&bed, bed.alpha, &answer);
	bed_turn(&bed);
	cr_expect_eq(dispatch_lone_ns(bed.d), UINT64_MAX, "nobody knows how long it takes");
	bed_expect(&bed, 7000);
	cr_expect_eq(dispatch_lone_ns(bed.d), 7000);
	r[1] = bed_submit(&bed, bed.beta, &answer);
	bed_turn(&bed);
	cr_expect_eq(dispatch_lone_ns(bed.d), UINT64_MAX, "two run");
	for (unsigned i = 0; i < 2; i++) {
		fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
		request_unref(r[i]);
	}
	cr_expect_eq(dispatch_lone_ns(bed.d), 0);
	bed_close(&bed);
}
