/* Tests of scheduler.c: who runs what, where, when; where suspects run. */
#include "dispatch/scheduler.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static struct answer answers[64];

static void up(uint32_t workers)
{
	bed_init(&bed);
	bed.place.count = workers;
	bed_up(&bed);
}

static void setup(void)
{
	up(1);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(scheduler, .init = setup, .fini = teardown);
/* Each begins with up(). */
TestSuite(scheduler_many, .fini = teardown);

static void drop(struct request *r)
{
	request_unref(r);
}

Test(scheduler, nothing_is_sent_before_a_turn)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_eq(version_in_flight(bed.alpha), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(answers[0].n_outputs, 1);
	cr_expect_str_eq(answers[0].worker, "cpu:0/0");
	cr_expect_eq(answers[0].times.compute_ns, 1000);
	cr_expect(answers[0].times.dispatched_ns >= answers[0].times.submitted_ns);
	cr_expect(answers[0].times.done_ns >= answers[0].times.dispatched_ns);
	cr_expect_eq(version_in_flight(bed.alpha), 0);
	cr_expect_eq(dispatch_load(bed.d), 0);
}

Test(scheduler, each_stage_of_what_goes_well_is_measured)
{
	const struct version_figures *f = version_figures(bed.alpha);
	const struct request_times *t = &answers[0].times;

	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(f->stages[VERSION_RECEIVE].sum, 0, "nobody said when it was received");
	cr_expect_eq(f->stages[VERSION_QUEUE].sum, t->dispatched_ns - t->submitted_ns);
	cr_expect_eq(f->stages[VERSION_COMPUTE].sum, 1000);
	cr_expect_eq(f->stages[VERSION_COMPUTE].counts[0], 1);
	cr_expect_eq(f->total.sum, t->done_ns - t->submitted_ns);
	cr_expect_eq(f->batch_rows.sum, 1);
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_INTERNAL);
	cr_expect_eq(f->stages[VERSION_COMPUTE].sum, 1000, "failures are not");
	cr_expect_eq(f->failures[VERSION_BACKEND], 1);
}

Test(scheduler, what_arrives_together_runs_together)
{
	for (int i = 0; i < 3; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_eq(fake_first(bed.pool, NULL)->n_items, 3);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(answers[i].batch_requests, 3);
	cr_expect_eq(version_counters(bed.alpha)->batches, 1);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 3);
}

Test(scheduler, binds_late)
{
	/* 8 rows a batch, 2 slots: the third batch stays in the queue, where more can join. */
	for (int i = 0; i < 20; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 2);
	cr_expect_eq(version_queue_depth(bed.alpha), 4);
	drop(bed_submit(&bed, bed.alpha, &answers[20]));
	bed_turn(&bed);
	cr_expect_eq(version_queue_depth(bed.alpha), 5);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	bed_turn(&bed);
	cr_expect_eq(version_queue_depth(bed.alpha), 0);
	cr_expect_eq(bed.pool->runs[2].n_items, 5);
}

/* One worker with `slots`; `n` batches of alpha wait. */
static void pipeline_up(uint32_t slots, uint64_t pipeline_us, int n)
{
	bed_init(&bed);
	bed.pool_settings.slots = slots;
	bed.settings.pipeline_us = pipeline_us;
	bed_up(&bed);
	bed_expect(&bed, 0);
	for (int i = 0; i < n; i++)
		drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
}

/* Answer one batch and look again. */
static void one_more(uint64_t compute_ns)
{
	bed.pool->compute_ns = compute_ns;
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	bed_turn(&bed);
}

Test(scheduler_many, none_at_hand_until_the_time_is_known)
{
	pipeline_up(8, 100, 12);
	bed_turn(&bed);
	/* It may take for ever. */
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 1);
	one_more(1000);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 8, "then the slots are the limit");
	one_more(1000);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 8);
}

Test(scheduler_many, more_only_while_they_are_soon_done)
{
	pipeline_up(8, 100, 16);
	bed_turn(&bed);
	one_more(30000);
	one_more(30000);
	/* 30, 60 and 90 us of work do not keep another one away, 120 do. */
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 4);
	one_more(30000);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 4);
	/* The mean follows: 30 + 1/8 of 1600. */
	one_more(1630000);
	one_more(230000);
	one_more(230000);
	one_more(230000);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 2, "slow ones bind late");
}

Test(scheduler_many, no_pipeline_is_two_at_hand)
{
	pipeline_up(8, 0, 10);
	bed_turn(&bed);
	one_more(1000);
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(fake_n_runs(bed.pool, NULL), 2);
		one_more(1000);
	}
}

/* A slow model's lane does not make another's wait, on the same worker. */
Test(scheduler_many, quick_beside_slow_has_as_many_at_hand)
{
	pipeline_up(8, 100, 1);
	bed.alpha->work->batches_timed = bed.beta->work->batches_timed = 1;
	bed.alpha->work->compute_ns = 10 * NS_PER_S;
	bed.beta->work->compute_ns = 20 * NS_PER_US;
	bed_turn(&bed);
	for (int i = 1; i <= 10; i++)
		drop(bed_submit_by(&bed, bed.beta, bed.client, 8, &answers[i]));
	bed_turn(&bed);
	/* 0, 20, 40, 60, 80 and 100 us of its own keep none away. */
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 1 + 6);
	cr_expect_eq(version_queue_depth(bed.beta), 4);
}

Test(scheduler, models_take_turns)
{
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[0]));
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[1]));
	drop(bed_submit_by(&bed, bed.beta, bed.client, 8, &answers[2]));
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 2);
	cr_expect_eq(bed.pool->runs[0].model->id, 0);
	cr_expect_eq(bed.pool->runs[1].model->id, 1);
}

/* Whose last request was given up leaves without having moved anything: the next in line has its turn all the
 * same, since nobody would come to look after it again. */
Test(scheduler, who_leaves_takes_nobodys_turn)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answers[0]);

	drop(bed_submit(&bed, bed.beta, &answers[1]));
	request_cancel(r);
	drop(r);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_eq(bed.pool->runs[0].model->id, 1);
}

Test(scheduler_many, least_loaded_worker_is_taken)
{
	up(3);
	for (int i = 0; i < 6; i++) {
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
		bed_turn(&bed);
	}
	for (int i = 0; i < 3; i++)
		cr_expect_eq(bed.pool->workers[i].in_flight, 2);
	fake_done(bed.pool, fake_first(bed.pool, &bed.pool->workers[1]), 0);
	drop(bed_submit(&bed, bed.alpha, &answers[6]));
	bed_turn(&bed);
	cr_expect_eq(bed.pool->workers[1].n_runs, 3);
}

Test(scheduler_many, only_workers_that_hold_the_model)
{
	up(2);
	bed.pool->workers[0].holds[0] = false;
	for (int i = 0; i < 3; i++) {
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
		bed_turn(&bed);
	}
	cr_expect_eq(bed.pool->workers[0].n_runs, 0);
	cr_expect_eq(bed.pool->workers[1].n_runs, 2);
}

Test(scheduler, errors_of_the_worker_are_passed_on)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_FAILED_PRECONDITION);
	cr_expect_eq(answers[0].status, GRPC_FAILED_PRECONDITION);
	cr_expect_str_eq(answers[0].message, "the backend failed");
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 1);
}

Test(scheduler, a_missing_result_is_internal)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	bed_turn(&bed);
	fake_done_short(bed.pool, fake_first(bed.pool, NULL), 1);
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(answers[1].status, GRPC_INTERNAL);
	cr_expect_str_eq(answers[1].message, "the worker gave no result");
}

Test(scheduler, outputs_outlive_the_callback)
{
	answers[0].take = true;
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(bed.pool->output_leases, 1);
	output_lease_unref(answers[0].keep);
	cr_expect_eq(bed.pool->output_leases, 0);
}

/* --- Answers in part ------------------------------------------------------------------------ */

static struct request *submit_decoupled(struct answer *a)
{
	struct request *r = bed_request(&bed, bed.alpha, bed.client, 1, 0, a);

	request_allow_partial(r);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	bed_turn(&bed);
	return r;
}

Test(scheduler, answers_in_part_come_ahead_of_the_last)
{
	struct fake_run *run;

	bed_decouple(&bed);
	drop(submit_decoupled(&answers[0]));
	run = fake_first(bed.pool, NULL);
	fake_partial(bed.pool, run, 0);
	fake_partial(bed.pool, run, 0);
	cr_expect_eq(answers[0].n_partial, 2);
	cr_expect_eq(answers[0].n, 0);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 0);
	cr_expect_eq(client_requests(bed.client), 1);
	fake_done(bed.pool, run, 0);
	cr_expect_eq(answers[0].n_partial, 2);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 1);
	cr_expect_eq(bed.pool->output_leases, 0);
}

static void cancel_other(struct answer *a)
{
	request_cancel(a->other);
}

Test(scheduler, cancelled_between_answers)
{
	struct fake_run *run;

	bed_decouple(&bed);
	answers[0].other = submit_decoupled(&answers[0]);
	answers[0].partial_hook = cancel_other;
	run = fake_first(bed.pool, NULL);
	cr_expect_not(run->cancelled);
	fake_partial(bed.pool, run, 0);
	cr_expect(run->cancelled, "one call given up ends the work");
	fake_partial(bed.pool, run, 0);
	fake_done(bed.pool, run, 0);
	cr_expect_eq(answers[0].n_partial, 1);
	cr_expect_eq(answers[0].n, 0);
	drop(answers[0].other);
}

Test(scheduler, answered_in_part_it_is_not_sent_again)
{
	bed_decouple(&bed);
	drop(submit_decoupled(&answers[0]));
	drop(submit_decoupled(&answers[1]));
	fake_partial(bed.pool, fake_first(bed.pool, NULL), 0);
	fake_lose(&bed.pool->workers[0]);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_neq(strstr(answers[0].message, "it is not sent again"), NULL);
	cr_expect_eq(answers[1].n, 0, "nobody has heard of it yet");
}

/* --- Answers ahead of the batch's ----------------------------------------------------------- */

Test(scheduler, an_item_has_its_answer_ahead_of_the_others)
{
	struct fake_run *run;

	for (int i = 0; i < 3; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	bed_turn(&bed);
	run = fake_first(bed.pool, NULL);
	cr_assert_eq(run->n_items, 3);
	fake_early(bed.pool, run, 1);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[1].n_partial, 0);
	cr_expect_eq(answers[1].status, GRPC_OK);
	cr_expect_eq(answers[1].times.compute_ns, 1000);
	cr_expect_eq(client_requests(bed.client), 2, "it can ask for the next");
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 1);
	fake_done(bed.pool, run, 0);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(answers[i].n, 1);
	cr_expect_eq(version_counters(bed.alpha)->requests_ok, 3);
	cr_expect_eq(client_requests(bed.client), 0);
	cr_expect_eq(bed.pool->output_leases, 0);
}

Test(scheduler_many, what_was_answered_is_not_sent_again)
{
	struct worker *w;

	up(2);
	w = bed.pool->workers;
	w[1].ready = false;
	for (int i = 0; i < 2; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	bed_turn(&bed);
	fake_early(bed.pool, fake_first(bed.pool, &w[0]), 0);
	fake_lose(&w[0]);
	fake_set_ready(&w[1], true);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, &w[1]), 1);
	fake_done(bed.pool, fake_first(bed.pool, &w[1]), 0);
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, &w[1]), 0);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[1].status, GRPC_OK);
	cr_expect_eq(client_requests(bed.client), 0);
}

/* --- Lost workers --------------------------------------------------------------------------- */

Test(scheduler_many, requests_of_a_lost_worker_go_to_another_one_by_one)
{
	struct worker *w;

	up(2);
	w = bed.pool->workers;
	w[1].ready = false;
	for (int i = 0; i < 3; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	bed_turn(&bed);
	cr_assert_eq(fake_first(bed.pool, &w[0])->n_items, 3);
	fake_set_ready(&w[1], true);
	fake_lose(&w[0]);
	for (int i = 0; i < 3; i++) {
		bed_turn(&bed);
		cr_assert_eq(fake_n_runs(bed.pool, &w[1]), 1, "alone");
		cr_expect_eq(fake_first(bed.pool, &w[1])->n_items, 1);
		fake_done(bed.pool, fake_first(bed.pool, &w[1]), 0);
		cr_expect_eq(answers[i].n, 1);
		cr_expect_eq(answers[i].status, GRPC_OK);
		cr_expect_eq(answers[i].batch_requests, 1);
	}
}

Test(scheduler, nothing_else_is_sent_to_where_a_suspect_runs)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	fake_set_ready(&bed.pool->workers[0], true);
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	drop(bed_submit(&bed, bed.beta, &answers[2]));
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].n, 1, "the suspect goes first");
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 2);
}

Test(scheduler_many, a_busy_worker_is_kept_free_for_a_suspect)
{
	struct worker *w;

	up(2);
	w = bed.pool->workers;
	for (int i = 0; i < 4; i++) {
		drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
		bed_turn(&bed);
	}
	fake_lose(&w[0]);
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[4]));
	bed_turn(&bed);
	cr_expect_eq(bed.alpha->work->reservation, &bed.d->scheduler.places.list[1]);
	fake_done(bed.pool, fake_first(bed.pool, &w[1]), 0);
	bed_turn(&bed);
	cr_expect_eq(w[1].in_flight, 1, "a free slot is not used while one is reserved");
	fake_done(bed.pool, fake_first(bed.pool, &w[1]), 0);
	bed_turn(&bed);
	cr_expect_eq(w[1].in_flight, 1, "the suspect, alone");
	cr_expect_null(bed.alpha->work->reservation);
	cr_expect_not_null(bed.d->scheduler.places.list[1].exclusive);
	cr_expect_eq(answers[4].n, 0);
}

Test(scheduler_many, a_reservation_ends_with_its_suspect)
{
	struct request *r;

	up(2);
	r = bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[0]);
	bed_turn(&bed);
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[1]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	bed_turn(&bed);
	cr_assert_not_null(bed.alpha->work->reservation);
	request_cancel(r);
	drop(r);
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[2]));
	bed_turn(&bed);
	cr_expect_null(bed.alpha->work->reservation);
	cr_expect_eq(bed.pool->workers[1].in_flight, 2);
}

Test(scheduler_many, another_worker_is_reserved_when_the_first_is_lost_too)
{
	struct worker *w;

	up(3);
	w = bed.pool->workers;
	for (int i = 0; i < 3; i++) {
		drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
		bed_turn(&bed);
	}
	fake_lose(&w[0]);
	bed_turn(&bed);
	cr_assert_not_null(bed.alpha->work->reservation);
	fake_lose(bed.alpha->work->reservation->worker);
	bed_turn(&bed);
	cr_assert_not_null(bed.alpha->work->reservation);
	cr_expect(bed.alpha->work->reservation->worker->ready);
}

/* Else whoever was looked at before would wait for it until something else happens. */
Test(scheduler_many, a_worker_that_is_reserved_no_more_is_there_for_others)
{
	struct worker *w;

	up(3);
	w = bed.pool->workers;
	w[0].holds[1] = w[2].holds[1] = false;
	for (int i = 0; i < 5; i++) {
		drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
		bed_turn(&bed);
	}
	cr_assert_eq(w[1].in_flight, 2);
	cr_assert_eq(w[2].in_flight, 1);
	drop(bed_submit(&bed, bed.beta, &answers[5]));
	bed_turn(&bed);
	w[0].ready = false;
	fake_lose(&w[2]);
	bed_turn(&bed);
	cr_assert_eq(bed.alpha->work->reservation, &bed.d->scheduler.places.list[1]);
	/* As if alpha's breaker had opened on that device. */
	w[0].ready = true;
	w[1].holds[0] = false;
	fake_done(bed.pool, fake_first(bed.pool, &w[1]), 0);
	bed_turn(&bed);
	cr_expect_eq(bed.alpha->work->reservation, &bed.d->scheduler.places.list[0]);
	cr_expect_eq(w[1].in_flight, 2, "beta is sent");
}

/* --- Deadlines -------------------------------------------------------------------------------- */

Test(scheduler, deadlines_are_honoured_in_the_queue)
{
	struct request *r[3];
	uint64_t base = clock_ns() + 100 * NS_PER_S;

	/* Both slots are taken; these wait, the first one longest. */
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[10]));
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[11]));
	bed_turn(&bed);
	for (uint64_t i = 0; i < 3; i++) {
		r[i] = bed_request(&bed, bed.alpha, bed.client, 8, base - i, &answers[i]);
		cr_assert_eq(dispatch_submit(bed.d, r[i]), 0);
		drop(r[i]);
	}
	scheduler_run(&bed.d->scheduler, base - 3);
	cr_expect_eq(bed.d->scheduler.wait_ns, base - 2);
	scheduler_run(&bed.d->scheduler, base - 2);
	cr_expect_eq(answers[2].n, 1);
	cr_expect_eq(answers[1].n, 0);
	cr_expect_eq(bed.d->scheduler.wait_ns, base - 1);
	scheduler_run(&bed.d->scheduler, base);
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_DEADLINE_EXCEEDED);
	cr_expect_not_null(strstr(answers[0].message, " ms in the queue of model 'alpha'"));
	cr_expect_eq(bed.d->scheduler.wait_ns, CLOCK_NO_DEADLINE);
}

/* One level in which requests wait for 100 s, and that action then; both slots are taken. */
static void with_timeouts(enum queue_action action)
{
	static struct queue_settings timed = {.n_levels = 1};

	timed.policies[0] = (struct queue_policy){.action = action, .timeout_us = 100000000};
	bed_init(&bed);
	bed.models[0].queue = &timed;
	bed_up(&bed);
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[10]));
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[11]));
	bed_turn(&bed);
}

Test(scheduler_many, who_has_waited_for_his_timeout_is_rejected)
{
	struct request *r;
	uint64_t at;

	with_timeouts(QUEUE_REJECT);
	r = bed_submit(&bed, bed.alpha, &answers[0]);
	at = r->overdue_ns;
	drop(r);
	scheduler_run(&bed.d->scheduler, at - 1);
	cr_expect_eq(bed.d->scheduler.wait_ns, at);
	cr_expect_eq(answers[0].n, 0);
	scheduler_run(&bed.d->scheduler, at);
	cr_assert_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message, "Request timeout expired");
	cr_expect_eq(bed.d->scheduler.wait_ns, CLOCK_NO_DEADLINE);
}

Test(scheduler_many, or_goes_behind_those_who_came_later)
{
	struct request *r;

	with_timeouts(QUEUE_DELAY);
	r = bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[0]);
	scheduler_run(&bed.d->scheduler, r->overdue_ns);
	cr_expect_eq(bed.d->scheduler.wait_ns, CLOCK_NO_DEADLINE);
	drop(r);
	drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[1]));
	for (size_t i = 0; i < 3; i++) {
		fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
		bed_turn(&bed);
	}
	cr_expect_eq(answers[1].n, 1);
	cr_expect_eq(answers[0].n, 0);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].status, GRPC_OK);
	cr_expect_eq(answers[0].n, 1);
}

Test(scheduler, a_suspect_expires_too)
{
	struct request *r =
		bed_request(&bed, bed.alpha, bed.client, 1, clock_ns() + NS_PER_S, &answers[0]);

	bed.settings.retry_wait_ms = UINT64_MAX;
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	drop(r);
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	scheduler_run(&bed.d->scheduler, clock_ns());
	cr_expect_eq(answers[0].n, 0);
	scheduler_run(&bed.d->scheduler, clock_ns() + 2 * NS_PER_S);
	cr_expect_eq(answers[0].status, GRPC_DEADLINE_EXCEEDED);
}

/* --- What worker_run() refuses ---------------------------------------------------------------- */

Test(scheduler, busy_after_all_keeps_order_and_age)
{
	uint64_t queued_ns;

	for (int i = 0; i < 3; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	queued_ns = queue_oldest(&bed.alpha->work->queue)->queued_ns;
	bed.pool->workers[0].run_error = WORKER_E_BUSY;
	bed_turn(&bed);
	cr_expect_eq(version_queue_depth(bed.alpha), 3);
	cr_expect_eq(queue_oldest(&bed.alpha->work->queue)->queued_ns, queued_ns);
	cr_expect_eq(queue_oldest(&bed.alpha->work->queue)->data, &answers[0]);
	bed.pool->workers[0].run_error = 0;
	bed.pool->events->on_credit(bed.d);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_eq(fake_first(bed.pool, NULL)->n_items, 3);
}

Test(scheduler, a_suspect_that_finds_it_busy_stays_a_suspect)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	fake_set_ready(&bed.pool->workers[0], true);
	bed.pool->workers[0].run_error = WORKER_E_BUSY;
	bed_turn(&bed);
	cr_expect_not_null(queue_suspect(&bed.alpha->work->queue));
	cr_expect_null(bed.d->scheduler.places.list[0].exclusive);
	bed.pool->workers[0].run_error = 0;
	bed.pool->events->on_credit(bed.d);
	bed_turn(&bed);
	cr_expect_not_null(bed.d->scheduler.places.list[0].exclusive);
}

Test(scheduler, too_large_together_is_tried_alone_then_refused)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	bed.pool->workers[0].run_error = WORKER_E_LARGE;
	bed_turn(&bed);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(answers[i].n, 1);
		cr_expect_eq(answers[i].status, GRPC_RESOURCE_EXHAUSTED);
		cr_expect_not_null(strstr(answers[i].message, "above the limit of 131072"));
	}
}

Test(scheduler, memory_that_cannot_be_handed_over_is_tried_alone_then_refused)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	bed.pool->workers[0].run_error = WORKER_E_REFS;
	bed_turn(&bed);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(answers[i].n, 1);
		cr_expect_eq(answers[i].status, GRPC_RESOURCE_EXHAUSTED);
		cr_expect_not_null(strstr(answers[i].message, "cannot be handed to a worker"));
	}
}

Test(scheduler, out_of_memory_fails_the_batch)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed.pool->workers[0].run_error = -ENOMEM;
	bed_turn(&bed);
	cr_expect_eq(answers[0].status, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_str_eq(answers[0].message,
		"the request could not be sent to a worker: Cannot allocate memory");
	cr_expect_eq(dispatch_load(bed.d), 0);
}

/* --- Callbacks that act ------------------------------------------------------------------------- */

static void kill_all(struct answer *a)
{
	dispatch_kill(a->bed->d);
}

Test(scheduler, a_callback_may_end_everything)
{
	for (int i = 0; i < 3; i++)
		drop(bed_submit(&bed, bed.alpha, &answers[i]));
	drop(bed_submit(&bed, bed.beta, &answers[3]));
	fake_set_ready(&bed.pool->workers[0], false);
	bed.pool->hopeless[0] = true;
	answers[0].hook = kill_all;
	bed_turn(&bed);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(answers[i].n, 1, "%d", i);
	cr_expect(bed.pool->killed);
	cr_expect_eq(bed.d->scheduler.n_work, 0);
}

Test(scheduler, a_callback_may_cancel_its_neighbours)
{
	struct request *r[2];

	for (int i = 0; i < 2; i++)
		r[i] = bed_submit(&bed, bed.alpha, &answers[i]);
	bed_turn(&bed);
	answers[0].hook = cancel_other;
	answers[0].other = r[1];
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[1].n, 0);
	drop(r[0]);
	drop(r[1]);
	cr_expect_eq(client_requests(bed.client), 0);
}

static void submit_again(struct answer *a)
{
	a->hook = NULL;
	drop(bed_submit(a->bed, a->bed->alpha, a));
}

Test(scheduler, a_callback_may_submit)
{
	answers[0].hook = submit_again;
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].n, 2);
}

/* Counted: of two quick models, runs of one before the other has its turn; of two slow ones, each batch. */
static unsigned changes_of_model(uint64_t compute_ns)
{
	unsigned changes = 0;

	bed_init(&bed);
	bed.pool_settings.slots = 64;
	bed.settings.pipeline_us = 100000;
	bed_up(&bed);
	bed_expect(&bed, compute_ns);
	for (int i = 0; i < 10; i++) {
		drop(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[2 * i]));
		drop(bed_submit_by(&bed, bed.beta, bed.client, 8, &answers[2 * i + 1]));
	}
	bed_turn(&bed);
	cr_assert_eq(bed.pool->n_runs, 20);
	for (size_t i = 1; i < 20; i++)
		changes += bed.pool->runs[i].model != bed.pool->runs[i - 1].model;
	return changes;
}

Test(scheduler_many, quick_models_have_several_batches_a_turn)
{
	cr_expect_eq(changes_of_model(10 * NS_PER_US), 1, "ten of one, ten of the other");
}

Test(scheduler_many, slow_models_take_turns_batch_by_batch)
{
	cr_expect_eq(changes_of_model(200 * NS_PER_US), 19);
}

Test(scheduler, who_gives_up_at_his_deadline_is_counted)
{
	struct request *queued = bed_request(
		&bed, bed.alpha, bed.client, 1, clock_ns() + 200 * NS_PER_MS, &answers[0]);
	struct request *early = bed_request(
		&bed, bed.alpha, bed.client, 1, clock_ns() + 60 * NS_PER_S, &answers[1]);

	cr_assert_eq(dispatch_submit(bed.d, queued), 0);
	cr_assert_eq(dispatch_submit(bed.d, early), 0);
	bed_turn(&bed);
	while (clock_ns() < queued->deadline_ns)
		;
	request_cancel(queued);
	request_cancel(early);
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 1, "once");
	request_unref(queued);
	request_unref(early);
}
