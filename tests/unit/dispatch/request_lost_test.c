/* Tests of request_lost.c: what becomes of requests whose worker is lost. */
#include "dispatch/request_lost.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
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

TestSuite(request_lost, .init = setup, .fini = teardown);

Test(request_lost, a_request_that_loses_two_workers_is_internal)
{
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	for (int i = 0; i < 2; i++) {
		bed_turn(&bed);
		cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
		fake_lose(&bed.pool->workers[0]);
		fake_set_ready(&bed.pool->workers[0], true);
	}
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0, "at most once more");
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_INTERNAL);
	cr_expect_str_eq(answers[0].message,
		"worker lost twice while it had this request for model 'alpha', the second time "
		"cpu:0/0 (signal 6 (Aborted)), running it alone");
}

/* A worker that loads runs suspects; should it end then, it may have been the load: once more, where nothing is
 * loaded. */
Test(request_lost, a_loss_beside_a_load_is_tried_without_one)
{
	struct worker *w = bed.pool->workers;

	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose(w);
	for (int i = 0; i < 2; i++) {
		w->loading = true;
		fake_set_ready(w, true);
		bed_turn(&bed);
		if (i == 0)
			fake_lose_how(w, LOST_BESIDE_LOAD);
	}
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	w->loading = false;
	bed.pool->events->on_credit(bed.pool->data);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_lose(w);
	cr_expect_eq(answers[0].status, GRPC_INTERNAL);
}

Test(request_lost, stateful_models_are_not_sent_again)
{
	request_unref(bed_submit(&bed, bed.beta, &answers[0]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message,
		"worker cpu:0/0 (signal 6 (Aborted)) was lost with this request for model 'beta', "
		"which is stateful: it is not sent again");
}

Test(request_lost, a_cancelled_request_is_not_sent_again)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answers[0]);

	bed_turn(&bed);
	request_cancel(r);
	request_unref(r);
	fake_lose(&bed.pool->workers[0]);
	cr_expect_eq(answers[0].n, 0);
	cr_expect_eq(dispatch_load(bed.d), 0);
}

Test(request_lost, a_late_request_is_not_sent_again)
{
	struct request *r =
		bed_request(&bed, bed.alpha, bed.client, 1, clock_ns() + NS_PER_S, &answers[0]);

	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	bed_turn(&bed);
	r->deadline_ns = 1;
	request_unref(r);
	fake_lose(&bed.pool->workers[0]);
	cr_expect_eq(answers[0].status, GRPC_DEADLINE_EXCEEDED);
	cr_expect_str_eq(answers[0].message,
		"deadline passed when worker cpu:0/0 (signal 6 (Aborted)) was lost with this "
		"request for model 'alpha'");
}

Test(request_lost, one_that_overran_alone_is_not_sent_again)
{
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose_how(&bed.pool->workers[0], LOST_GUILTY);
	cr_expect_eq(answers[0].status, GRPC_INTERNAL);
	cr_expect(strstr(answers[0].message, "model 'alpha' took longer than run_timeout_ms = "),
		"%s", answers[0].message);
}

/* What was not to blame is no suspect: it goes on together, in its old order, as often as that happens. */
Test(request_lost, the_innocent_go_on_as_before)
{
	struct worker *w = bed.pool->workers;

	for (int i = 0; i < 3; i++)
		request_unref(bed_submit(&bed, bed.alpha, &answers[i]));
	for (int i = 0; i < 4; i++) {
		bed_turn(&bed);
		cr_assert_eq(fake_n_runs(bed.pool, NULL), 1, "all in one batch");
		cr_assert_eq(fake_first(bed.pool, w)->n_items, 3);
		fake_lose_how(w, LOST_INNOCENT);
		fake_set_ready(w, true);
	}
	for (int i = 0; i < 3; i++)
		cr_expect_eq(answers[i].n, 0);
}
