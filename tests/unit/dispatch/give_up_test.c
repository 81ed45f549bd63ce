/* Tests of give_up.c: when a worker hears that nobody waits, and when not. */
#include "dispatch/give_up.h"

#include <criterion/criterion.h>

#include "fake_bed.h"

static struct bed bed;
static struct answer answers[4];

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(give_up, .init = setup, .fini = teardown);

static void cancel_other(struct answer *a)
{
	request_cancel(a->other);
}

Test(give_up, the_worker_is_told_when_all_of_a_batch_were_given_up)
{
	struct request *r[3];
	struct fake_run *run;

	for (int i = 0; i < 3; i++)
		r[i] = bed_submit(&bed, bed.alpha, &answers[i]);
	bed_turn(&bed);
	run = fake_first(bed.pool, NULL);
	cr_assert_eq(run->n_items, 3);
	request_cancel(r[0]);
	request_cancel(r[0]);
	cr_expect_not(request_withdraw(r[1]));
	cr_expect_not(request_withdraw(r[1]));
	request_cancel(r[1]);
	cr_expect_not(run->cancelled, "one still waits");
	request_cancel(r[2]);
	cr_expect(run->cancelled);
	request_cancel(r[2]);
	fake_done(bed.pool, run, GRPC_CANCELLED);
	for (int i = 0; i < 3; i++)
		request_unref(r[i]);
	cr_expect_eq(dispatch_load(bed.d), 0);
}

Test(give_up, a_batch_with_an_answer_to_come_is_not_given_up)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answers[0]);

	request_unref(bed_submit(&bed, bed.alpha, &answers[1]));
	bed_turn(&bed);
	request_cancel(r);
	request_unref(r);
	cr_expect_not(fake_first(bed.pool, NULL)->cancelled);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_OK);
	cr_expect_eq(answers[0].n, 0);
	cr_expect_eq(answers[1].n, 1);
}

/* What is withdrawn hears when the worker has it no more. */
Test(give_up, withdrawn_work_ends_early)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answers[0]);

	bed_turn(&bed);
	cr_expect_not(request_withdraw(r));
	cr_expect(fake_first(bed.pool, NULL)->cancelled);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_CANCELLED);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_CANCELLED);
	request_unref(r);
}

/* Its batch is back already: there is nothing to give up. */
Test(give_up, given_up_by_the_answer_of_its_neighbour)
{
	answers[0].other = bed_submit(&bed, bed.alpha, &answers[1]);
	answers[0].hook = cancel_other;
	answers[1].other = bed_submit(&bed, bed.alpha, &answers[0]);
	answers[1].hook = cancel_other;
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_OK);
	cr_expect_eq(answers[0].n + answers[1].n, 1, "one has cancelled the other");
	request_unref(answers[0].other);
	request_unref(answers[1].other);
}
