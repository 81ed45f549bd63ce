/* scheduler_wait_test.c: who waits for a worker, for how long, and what they are told. */
#include "dispatch/scheduler_wait.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static struct answer answers[3];

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(scheduler_wait, .init = setup, .fini = teardown);
/* Each begins with bed_init(). */
TestSuite(scheduler_wait_own, .fini = teardown);

static void drop(struct request *r)
{
	request_unref(r);
}

Test(scheduler_wait, waits_for_a_worker_that_comes_back)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	bed_turn(&bed);
	cr_expect_eq(answers[0].n, 0);
	fake_set_ready(&bed.pool->workers[0], true);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].status, GRPC_OK);
}

Test(scheduler_wait, waits_retry_wait_ms_and_no_longer)
{
	uint64_t start = clock_ns();

	bed.pool->detail[0] = "restarting";
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	bed_wait(&bed, &answers[0]);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message, "model 'alpha' had no ready worker for 20 ms "
					     "([dispatch] retry_wait_ms): restarting");
	cr_expect(clock_ns() - start >= 20 * NS_PER_MS);
}

Test(scheduler_wait, does_not_wait_where_there_is_no_hope)
{
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	bed.pool->hopeless[0] = true;
	bed.pool->detail[0] = "circuit breaker open";
	fake_lose(&bed.pool->workers[0]);
	bed_turn(&bed);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message, "model 'alpha' has failed: circuit breaker open");
}

Test(scheduler_wait, the_wait_begins_with_the_outage_or_the_arrival)
{
	struct dispatch *d = bed.d;
	uint64_t now;

	fake_set_ready(&bed.pool->workers[0], false);
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	now = queue_oldest(&bed.alpha->work->queue)->queued_ns;
	scheduler_run(&d->scheduler, now);
	cr_expect_eq(d->scheduler.wait_ns, now + 20 * NS_PER_MS);
	scheduler_run(&d->scheduler, now + 20 * NS_PER_MS - 1);
	cr_expect_eq(answers[0].n, 0);
	scheduler_run(&d->scheduler, now + 20 * NS_PER_MS);
	cr_expect_eq(answers[0].n, 1);
}

/* The oldest has waited long enough; the one that came later has not. */
Test(scheduler_wait, each_has_its_own_wait)
{
	struct scheduler *s = &bed.d->scheduler;
	struct work *w = bed.alpha->work;
	uint64_t first, second;

	fake_set_ready(&bed.pool->workers[0], false);
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	first = queue_oldest(&w->queue)->queued_ns;
	scheduler_run(s, first);
	drop(bed_submit(&bed, bed.alpha, &answers[1]));
	scheduler_run(s, first + 20 * NS_PER_MS);
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_eq(answers[1].n, 0);
	second = queue_oldest(&w->queue)->queued_ns;
	cr_expect_eq(s->wait_ns, second + 20 * NS_PER_MS, "looked at again then");
	scheduler_run(s, second + 20 * NS_PER_MS);
	cr_expect_eq(answers[1].n, 1);
}

Test(scheduler_wait, draining_ends_the_wait)
{
	fake_set_ready(&bed.pool->workers[0], false);
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	cr_expect_eq(answers[0].n, 0);
	scheduler_drain(&bed.d->scheduler);
	scheduler_run(&bed.d->scheduler, clock_ns());
	cr_expect_eq(answers[0].n, 1);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message, DISPATCH_ENDING_TEXT);
}

Test(scheduler_wait_own, a_wait_without_end_does_not_overflow)
{
	struct scheduler *s;

	bed_init(&bed);
	bed.settings.retry_wait_ms = UINT64_MAX;
	bed_up(&bed);
	s = &bed.d->scheduler;
	fake_set_ready(&bed.pool->workers[0], false);
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	cr_expect_eq(s->wait_ns, CLOCK_NO_DEADLINE);
	scheduler_run(s, clock_ns() + 1000 * NS_PER_S);
	cr_expect_eq(answers[0].n, 0);
}

Test(scheduler_wait_own, none_at_all)
{
	bed_init(&bed);
	bed.settings.retry_wait_ms = 0;
	bed_up(&bed);
	fake_set_ready(&bed.pool->workers[0], false);
	drop(bed_submit(&bed, bed.alpha, &answers[0]));
	bed_turn(&bed);
	cr_expect_eq(answers[0].n, 1);
	cr_expect(strstr(answers[0].message, "for 0 ms"), "%s", answers[0].message);
}

/* --- On a certain device ---------------------------------------------------------------------- */

/* One that is for that device alone; none has it. */
static struct request *strand(struct answer *a, const char *device)
{
	struct request *r = bed_submit(&bed, bed.alpha, a);

	r->device = device;
	bed.alpha->work->queue.n_bound++;
	return r;
}

Test(scheduler_wait, what_is_bound_to_a_device_waits_as_long_for_that)
{
	uint64_t start = clock_ns();

	drop(strand(&answers[0], "cuda:7"));
	bed_turn(&bed);
	cr_expect_eq(answers[0].n, 0);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	bed_wait(&bed, &answers[0]);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message,
		"no worker on cuda:7, where its tensors are, had model 'alpha' ready for 20 ms "
		"([dispatch] retry_wait_ms)");
	cr_expect(clock_ns() - start >= 20 * NS_PER_MS);
	cr_expect_eq(bed.alpha->work->unbound_since_ns, 0);
}

Test(scheduler_wait, it_runs_when_its_device_is_there)
{
	struct worker *w = &bed.pool->workers[0];

	drop(strand(&answers[0], "cuda:7"));
	bed_turn(&bed);
	cr_expect_neq(bed.alpha->work->unbound_since_ns, 0);
	snprintf(w->device, sizeof(w->device), "cuda:7");
	w->imports = true;
	fake_set_ready(w, true);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	cr_expect_eq(bed.alpha->work->unbound_since_ns, 0);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].status, GRPC_OK);
}

/* It is lost with the worker, and then a suspect. */
Test(scheduler_wait, a_suspect_goes_to_its_device)
{
	struct worker *w = &bed.pool->workers[0];

	drop(strand(&answers[0], "cuda:7"));
	snprintf(w->device, sizeof(w->device), "cuda:7");
	w->imports = true;
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_lose(w);
	snprintf(w->device, sizeof(w->device), "cuda:8");
	fake_set_ready(w, true);
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	snprintf(w->device, sizeof(w->device), "cuda:7");
	fake_set_ready(w, true);
	bed_turn(&bed);
	cr_assert_eq(fake_n_runs(bed.pool, NULL), 1);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(answers[0].status, GRPC_OK);
}
