/* Tests of output_share.c: who keeps output memory is charged for it, and waits when it is more than his share. */
#include "dispatch/output_share.h"

#include <criterion/criterion.h>

#include "fake_bed.h"

#define LIMIT 1000u

static struct bed bed;
static struct client *other;
static struct answer answers[8];

static void setup(void)
{
	bed_init(&bed);
	bed.pool_settings.output_arena_bytes = LIMIT;
	bed_up(&bed);
	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
}

static void teardown(void)
{
	for (size_t i = 0; i < 8; i++)
		output_lease_unref(answers[i].keep);
	cr_expect_eq(bed.d->tally.outputs.used, 0);
	cr_expect_eq(bed.d->tally.outputs.n_holders, 0);
	client_unref(other);
	bed_close(&bed);
}

TestSuite(output_share, .init = setup, .fini = teardown);

static void submit(struct client *c, size_t i, bool keep)
{
	answers[i].take = keep;
	request_unref(bed_submit_by(&bed, bed.alpha, c, 1, &answers[i]));
}

/* Answer all that is in flight with so many bytes each. */
static void answer(uint64_t bytes)
{
	struct fake_run *run;

	bed_turn(&bed);
	bed.pool->output_bytes = bytes;
	while ((run = fake_first(bed.pool, NULL)))
		fake_done(bed.pool, run, 0);
}

static void let_go(size_t i)
{
	answers[i].keep = output_lease_unref(answers[i].keep);
}

Test(output_share, what_is_kept_is_charged_until_it_is_not)
{
	submit(bed.client, 0, true);
	answer(300);
	cr_expect_eq(client_output_bytes(bed.client), 300);
	cr_expect_eq(bed.d->tally.outputs.used, 300);
	cr_expect_eq(bed.d->tally.outputs.n_holders, 1);
	let_go(0);
	cr_expect_eq(client_output_bytes(bed.client), 0);
}

Test(output_share, what_is_not_kept_is_nobodys)
{
	submit(bed.client, 0, false);
	answer(300);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(bed.d->tally.outputs.used, 0);
}

Test(output_share, half_is_for_one_who_is_not_there_yet)
{
	submit(bed.client, 0, true);
	answer(500);
	cr_expect_not(output_share_over(bed.client));
	submit(bed.client, 1, true);
	answer(1);
	cr_expect(output_share_over(bed.client));
	cr_expect_not(output_share_over(other));
}

Test(output_share, who_keep_some_share_half)
{
	submit(other, 0, true);
	answer(250);
	submit(bed.client, 1, true);
	answer(250);
	cr_expect_not(output_share_over(bed.client));
	cr_expect_not(output_share_over(other));
	submit(bed.client, 2, true);
	answer(10);
	cr_expect(output_share_over(bed.client));
}

Test(output_share, who_is_over_waits_and_others_go_on)
{
	submit(bed.client, 0, true);
	answer(600);
	submit(bed.client, 1, false);
	submit(other, 2, false);
	submit(bed.client, 3, false);
	answer(4);
	cr_expect_eq(answers[2].n, 1);
	cr_expect_eq(answers[1].n, 0);
	cr_expect_eq(version_queue_depth(bed.alpha), 2);
	answer(4);
	cr_expect_eq(answers[1].n, 0);
	let_go(0);
	answer(4);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[3].n, 1);
}

Test(output_share, who_waits_is_not_a_stall)
{
	submit(bed.client, 0, true);
	answer(600);
	submit(bed.client, 1, false);
	bed_turn(&bed);
	cr_expect_null(scheduler_runnable(&bed.d->scheduler, 1));
}

Test(output_share, who_waits_may_go)
{
	submit(other, 0, true);
	answer(600);
	answers[1].take = false;
	struct request *r = bed_submit_by(&bed, bed.alpha, other, 1, &answers[1]);

	bed_turn(&bed);
	request_cancel(r);
	request_unref(r);
	cr_expect_eq(version_queue_depth(bed.alpha), 0);
	let_go(0);
	bed_turn(&bed);
	cr_expect_eq(answers[1].n, 0);
}

/* Of a hold that several answers share one who keeps the rest is charged with what others have let go of. */
Test(output_share, what_others_let_go_of_is_his_who_keeps_the_rest)
{
	submit(bed.client, 0, true);
	submit(other, 1, true);
	answer(100);
	cr_expect_eq(client_output_bytes(bed.client), 100);
	cr_expect_eq(client_output_bytes(other), 100);
	fake_more(answers[1].keep, 100);
	let_go(0);
	cr_expect_eq(client_output_bytes(other), 200);
	cr_expect_eq(bed.d->tally.outputs.used, 200);
	let_go(1);
	cr_expect_eq(bed.d->tally.outputs.used, 0);
}

Test(output_share, answers_in_part_are_charged_too)
{
	bed_decouple(&bed);
	struct request *r = bed_request(&bed, bed.alpha, bed.client, 1, 0, &answers[0]);

	request_allow_partial(r);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
	bed_turn(&bed);
	fake_partial(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(client_output_bytes(bed.client), 0, "it was not kept");
	answer(4);
}

/* --- What runs -------------------------------------------------------------------------------- */

/* Alpha's answers to one row take 5000 bytes as far as is known, of a worker's 16000. */
static void expect(void)
{
	bed.d->tally.outputs.limit = 16000;
	bed.alpha->work->outputs.declared = true;
	bed.alpha->work->outputs.row_max = UINT64_MAX;
	output_estimate_note(&bed.alpha->work->outputs, 16, 5000);
}

static void answer_all(void)
{
	for (bed_turn(&bed); fake_first(bed.pool, NULL); bed_turn(&bed))
		answer(4);
}

static uint32_t in_flight(void)
{
	bed_turn(&bed);
	return version_in_flight(bed.alpha);
}

Test(output_share, what_runs_is_counted)
{
	expect();
	submit(bed.client, 0, false);
	cr_expect_eq(in_flight(), 1);
	cr_expect_eq(bed.client->expected_bytes, 5000);
	cr_expect_eq(bed.d->tally.outputs.expected, 5000);
	answer(4);
	cr_expect_eq(bed.client->expected_bytes, 0);
	cr_expect_eq(bed.d->tally.outputs.n_users, 0);
}

/* No model's declaration makes a sum that wraps. */
Test(output_share, more_than_can_be_counted_is_expected_of_each)
{
	static const int64_t dims[] = {-1, INT64_MAX};
	const struct wire_declaration vast[] = {
		{.name = "a", .dtype = DTYPE_U8, .rank = 2, .dims = dims},
		{.name = "b", .dtype = DTYPE_U8, .rank = 2, .dims = dims},
	};
	const struct wire_loaded *before = bed.pool->loaded[0];
	struct wire_loaded declared = *before;

	declared.outputs = vast;
	declared.n_outputs = 2;
	bed.pool->loaded[0] = &declared;
	submit(bed.client, 0, false);
	submit(other, 1, false);
	cr_assert_eq(in_flight(), 2);
	cr_expect_gt(bed.d->tally.outputs.expected, OUTPUT_ESTIMATE_MAX);
	answer(300);
	cr_expect_eq(answers[0].n + answers[1].n, 2);
	cr_expect_eq(bed.d->tally.outputs.expected, 0);
	bed.pool->loaded[0] = before;
}

Test(output_share, a_burst_leaves_room_for_others)
{
	expect();
	for (size_t i = 0; i < 4; i++)
		submit(bed.client, i, false);
	cr_expect_eq(in_flight(), 1, "half of 16000 has no room for two");
	submit(other, 4, false);
	cr_expect_eq(in_flight(), 2);
	answer_all();
	cr_expect_eq(answers[4].n, 1);
	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(answers[i].n, 1);
}

Test(output_share, what_is_expected_is_put_right_by_what_comes)
{
	expect();
	for (size_t i = 0; i < 8; i++)
		submit(bed.client, i, false);
	answer_all();
	cr_expect_lt(output_estimate_bytes(&bed.alpha->work->outputs, 1, 16), 5000);
	for (size_t i = 0; i < 8; i++)
		cr_expect_eq(answers[i].n, 1);
}

Test(output_share, what_a_lost_worker_had_is_expected_anew)
{
	expect();
	submit(bed.client, 0, false);
	cr_expect_eq(in_flight(), 1);
	fake_lose(fake_first(bed.pool, NULL)->worker);
	cr_expect_eq(bed.client->expected_bytes, version_in_flight(bed.alpha) * 5000);
}

Test(output_share, who_is_cancelled_while_it_runs_is_counted_until_it_is_back)
{
	expect();
	answers[0].take = false;
	struct request *r = bed_submit_by(&bed, bed.alpha, other, 1, &answers[0]);

	cr_expect_eq(in_flight(), 1);
	request_cancel(r);
	request_unref(r);
	cr_expect_eq(other->expected_bytes, 5000);
	answer_all();
	cr_expect_eq(other->expected_bytes, 0);
}

/* --- Requests that are sent again ------------------------------------------------------------- */

/* Two of the client's and one of another's run; the first keeps its answer, the worker of the others is lost. */
static void lose_two_behind_one_kept(uint64_t kept)
{
	submit(bed.client, 0, true);
	bed_turn(&bed);
	submit(bed.client, 1, false);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 2);
	bed.pool->output_bytes = kept;
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	submit(other, 2, false);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 2);
	fake_lose(&bed.pool->workers[0]);
	fake_set_ready(&bed.pool->workers[0], true);
	cr_assert_eq(bed.alpha->work->queue.n_suspects, 2);
}

Test(output_share, one_that_is_sent_again_waits_alone_until_its_client_has_room)
{
	lose_two_behind_one_kept(600);
	answer(4);
	cr_expect_eq(answers[2].n, 1, "behind the other in the queue, and it need not wait");
	cr_expect_eq(answers[1].n, 0);
	cr_expect_null(scheduler_runnable(&bed.d->scheduler, 1), "that is no stall");
	cr_expect_null(bed.alpha->work->reservation);
	let_go(0);
	answer(4);
	cr_expect_eq(answers[1].n, 1);
}

Test(output_share, one_that_is_sent_again_goes_where_its_client_has_room)
{
	lose_two_behind_one_kept(400);
	answer(4);
	answer(4);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[2].n, 1);
}
