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
