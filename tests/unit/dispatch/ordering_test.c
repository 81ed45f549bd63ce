/* Tests of ordering.c: answers that come out of order, from the door to two workers and back. */
#include "dispatch/ordering.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/queue_settings.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

#define N 4

static struct bed bed;
static struct answer answers[N];
static struct request *requests[N];

/* Two workers, one batch each, of so many requests. */
static void up(bool keep_order, uint32_t rows)
{
	struct queue_settings *queue = queue_settings_new();

	cr_assert(queue);
	queue->keep_order = keep_order;
	bed_init(&bed);
	bed.place.count = 2;
	bed.models[0].queue = queue;
	bed.models[0].max_batch_size = rows;
	bed_up(&bed);
	free(queue);
	bed.models[0].queue = NULL;
	bed_expect(&bed, 0);
}

static void setup(void)
{
	up(true, 1);
}

static void teardown(void)
{
	for (size_t i = 0; i < N; i++)
		requests[i] = request_unref(requests[i]);
	bed_close(&bed);
}

TestSuite(ordering, .init = setup, .fini = teardown);
/* Each begins with up(). */
TestSuite(ordering_not, .fini = teardown);

/* n requests, of which two are with workers then. */
static void submit(size_t n)
{
	for (size_t i = 0; i < n; i++)
		requests[i] = bed_submit(&bed, bed.alpha, &answers[i]);
	bed_turn(&bed);
}

/* The one that was sent as number i of those that are with workers. */
static struct fake_run *run(size_t i)
{
	for (size_t k = 0; k < bed.pool->n_runs; k++) {
		if (bed.pool->runs[k].worker && i-- == 0)
			return &bed.pool->runs[k];
	}
	cr_assert(false, "there are not so many");
	return NULL;
}

static void answer(size_t i)
{
	fake_done(bed.pool, run(i), GRPC_OK);
}

static void expect_answered(size_t n)
{
	for (size_t i = 0; i < N; i++)
		cr_expect_eq(answers[i].n, i < n, "%zu of %zu", i, n);
}

Test(ordering, who_is_quicker_waits)
{
	submit(2);
	answer(1);
	expect_answered(0);
	cr_expect_eq(bed.client->requests, 2, "what waits is still asked for");
	answer(0);
	expect_answered(2);
	cr_expect_eq(answers[1].status, GRPC_OK);
	cr_expect_eq(answers[1].n_outputs, 1);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 2);
	cr_expect_eq(bed.client->requests, 0);
}

Test(ordering, what_waits_keeps_no_worker)
{
	submit(4);
	answer(1);
	bed_turn(&bed);
	answer(1);
	bed_turn(&bed);
	answer(1);
	expect_answered(0);
	answer(0);
	expect_answered(4);
}

Test(ordering, an_error_has_its_place_and_keeps_nobody)
{
	submit(2);
	fake_done(bed.pool, run(1), GRPC_INVALID_ARGUMENT);
	expect_answered(0);
	fake_done(bed.pool, run(0), GRPC_INTERNAL);
	expect_answered(2);
	cr_expect_eq(answers[0].status, GRPC_INTERNAL);
	cr_expect_eq(answers[1].status, GRPC_INVALID_ARGUMENT);
	cr_expect_neq(answers[1].message[0], '\0', "its text is kept");
	cr_expect_eq(version_figures(bed.alpha)->failures[VERSION_BACKEND], 2);
}

Test(ordering, nobody_waits_for_who_gave_up)
{
	submit(2);
	answer(1);
	request_cancel(requests[0]);
	expect_answered(0);
	bed_turn(&bed);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[0].n, 0);
	answer(0);
	cr_expect_eq(answers[0].n, 0);
}

Test(ordering, an_answer_that_waits_can_be_given_up)
{
	submit(2);
	answer(1);
	request_cancel(requests[1]);
	cr_expect_eq(bed.pool->output_leases, 0, "nothing of it is kept");
	cr_expect_eq(bed.client->requests, 1);
	answer(0);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[1].n, 0);
}

Test(ordering, an_answer_that_waits_can_be_withdrawn)
{
	submit(2);
	answer(1);
	cr_expect(request_withdraw(requests[1]), "nothing touches its memory any more");
	answer(0);
	cr_expect_eq(answers[1].n, 0);
}

Test(ordering, who_is_sent_again_has_the_old_place)
{
	submit(2);
	answer(1);
	fake_lose(run(0)->worker);
	expect_answered(0);
	bed_turn(&bed);
	answer(0);
	expect_answered(2);
	cr_expect_eq(answers[0].status, GRPC_OK);
}

Test(ordering, what_waits_counts_as_kept_and_keeps_nobody_from_being_sent_again)
{
	bed.pool->output_bytes = 4096;
	bed.d->tally.outputs.limit = 4096;
	submit(2);
	answer(1);
	cr_expect_eq(bed.client->output_bytes, 4096);
	fake_lose_how(run(0)->worker, LOST_INNOCENT);
	bed_turn(&bed);
	answer(0);
	expect_answered(2);
	cr_expect_eq(bed.client->output_bytes, 0);
}

Test(ordering, the_end)
{
	submit(3);
	answer(1);
	bed_turn(&bed);
	dispatch_kill(bed.d);
	expect_answered(3);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_eq(answers[1].status, GRPC_OK);
}

Test(ordering, a_drain_waits_for_all)
{
	submit(2);
	answer(1);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_not(bed.pool->draining);
	answer(0);
	bed_turn(&bed);
	cr_expect(bed.pool->draining);
	expect_answered(2);
}

Test(ordering_not, elsewhere_answers_leave_as_they_come)
{
	up(false, 1);
	submit(2);
	answer(1);
	cr_expect_eq(answers[1].n, 1);
	answer(0);
	expect_answered(2);
}

Test(ordering_not, nor_where_there_are_several)
{
	up(true, 1);
	bed_decouple(&bed);
	for (size_t i = 0; i < 2; i++) {
		requests[i] =
			bed_request(&bed, bed.alpha, bed.client, 1, CLOCK_NO_DEADLINE, &answers[i]);
		request_allow_partial(requests[i]);
		cr_assert_eq(dispatch_submit(bed.d, requests[i]), 0);
	}
	bed_turn(&bed);
	answer(1);
	cr_expect_eq(answers[1].n, 1);
	answer(0);
}

/* The first batch has answers[0] and [1], the second [2] and [3], of which [2] comes ahead of its end. */
static void begin_joined(void)
{
	up(true, 2);
	submit(4);
	cr_assert_eq(run(1)->n_items, 2);
	fake_early(bed.pool, run(1), 0);
	expect_answered(0);
}

Test(ordering_not, answers_that_come_ahead_have_their_places)
{
	begin_joined();
	answer(0);
	expect_answered(3);
	answer(0);
	expect_answered(4);
}

Test(ordering_not, and_are_not_lost_with_the_worker)
{
	begin_joined();
	fake_lose(run(1)->worker);
	answer(0);
	expect_answered(3);
	cr_expect_eq(answers[2].status, GRPC_OK);
	bed_turn(&bed);
	answer(0);
	expect_answered(4);
}

/* Without memory an answer is not kept, but told at once. What comes ahead of ours are the pool's own allocations. */
Test(ordering, no_memory)
{
	unsigned long n;

	submit(3);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, 0);
	answer(0);
	failalloc_disarm();
	n = failalloc_count();
	expect_answered(1);
	bed_turn(&bed);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_TRANSIENT, n + 1);
	answer(1);
	failalloc_disarm();
	cr_assert_eq(failalloc_failed(), 1);
	cr_expect_eq(answers[2].n, 1);
	answer(0);
	expect_answered(3);
}
