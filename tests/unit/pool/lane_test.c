/* Tests of lane.c: what is in flight by expected time, and which lane is done first. */
#include "pool/lane.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "pool/flight.h"

#define US NS_PER_US

Test(lane, what_is_there_is_counted)
{
	struct backlog l = {0};

	cr_expect_eq(backlog_ns(&l, 1000), 0);
	backlog_add(&l, 5, 100);
	backlog_add(&l, 7, 200);
	cr_expect_eq(l.n, 2);
	cr_expect_eq(l.since_ns, 100, "the first one runs");
	cr_expect_eq(backlog_ns(&l, 200), 12);
	backlog_remove(&l, 5, 300);
	cr_expect_eq(l.since_ns, 300, "then the next");
	cr_expect_eq(backlog_ns(&l, 300), 7);
	backlog_remove(&l, 7, 400);
	cr_expect_eq(backlog_ns(&l, 50 * NS_PER_S), 0);
}

/* It has kept a batch for longer than it should take: who knows how long it will. */
Test(lane, what_is_late_counts_as_busy_for_as_long_again)
{
	struct backlog l = {0};

	backlog_add(&l, 5 * US, 0);
	cr_expect_eq(backlog_ns(&l, 500 * US), 5 * US, "not late yet");
	cr_expect_eq(backlog_ns(&l, 50 * NS_PER_MS), 50 * NS_PER_MS);
	backlog_add(&l, 6 * US, 50 * NS_PER_MS);
	cr_expect_eq(backlog_ns(&l, 50 * NS_PER_MS), 50 * NS_PER_MS, "something sent is no answer");
	backlog_remove(&l, 5 * US, 51 * NS_PER_MS);
	cr_expect_eq(backlog_ns(&l, 51 * NS_PER_MS), 6 * US);
	cr_expect_eq(backlog_ns(&l, 40 * NS_PER_MS), 6 * US, "a clock that was read before");
}

Test(lane, the_front_is_what_was_sent_first)
{
	struct pool_lane l;
	struct flight flights[3] = {{.expect_ns = 1}, {.expect_ns = 2}, {.expect_ns = 3}};

	lane_init(&l, 4);
	cr_expect_eq(l.index, 4);
	for (uint64_t i = 0; i < 3; i++) {
		list_init(&flights[i].lane_node);
		lane_enter(&l, &flights[i], 10 * i);
		cr_expect_eq(lane_front(&l), &flights[0]);
	}
	lane_leave(&l, &flights[0], 100);
	cr_expect_eq(lane_front(&l), &flights[1]);
	cr_expect_eq(l.backlog.since_ns, 100);
	cr_expect_eq(l.backlog.expect_ns, 5);
	lane_leave(&l, &flights[2], 100);
	lane_leave(&l, &flights[1], 100);
	cr_expect(list_empty(&l.flights));
}

Test(lane, the_one_that_is_done_first)
{
	struct pool_lane lanes[3];

	for (uint32_t i = 0; i < 3; i++)
		lane_init(&lanes[i], i);
	cr_expect_eq(lane_pick(lanes, 3, 0), &lanes[0]);
	backlog_add(&lanes[0].backlog, 10 * US, 0);
	cr_expect_eq(lane_pick(lanes, 1, 0), &lanes[0], "there is no other");
	cr_expect_eq(lane_pick(lanes, 3, 0), &lanes[1]);
	backlog_add(&lanes[1].backlog, 30 * US, 0);
	backlog_add(&lanes[2].backlog, 20 * US, 0);
	cr_expect_eq(lane_pick(lanes, 3, 0), &lanes[0]);
	backlog_add(&lanes[0].backlog, 15 * US, 0);
	cr_expect_eq(lane_pick(lanes, 3, 0), &lanes[2]);
	/* An answer came from the second one lately, and nothing of the others. */
	lanes[1].backlog.since_ns = 9 * NS_PER_MS;
	cr_expect_eq(lane_pick(lanes, 3, 10 * NS_PER_MS), &lanes[1], "the others are late");
	lanes[2].backlog = (struct backlog){0};
	cr_expect_eq(lane_pick(lanes, 3, 10 * NS_PER_MS), &lanes[2]);
	/* Something that should take no time at all is something. */
	lanes[0].backlog = lanes[1].backlog = (struct backlog){0};
	backlog_add(&lanes[0].backlog, 0, 0);
	cr_expect_eq(lane_pick(lanes, 3, 0), &lanes[1]);
}
