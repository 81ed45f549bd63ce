/* Tests of place.c: what a place takes, who is least loaded, and how long batches should take. */
#include "dispatch/place.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "fake_bed.h"

#define US NS_PER_US

static struct bed bed;
static struct places *all;

static void up(uint32_t workers)
{
	bed_init(&bed);
	bed.place.count = workers;
	bed.pool_settings.slots = 4;
	bed.settings.pipeline_us = 100;
	bed_up(&bed);
	all = &bed.d->scheduler.places;
}

static void setup(void)
{
	up(3);
}

/* So much is in flight on alpha's lane of a worker, in batches of some equal length. */
static void load(size_t i, uint32_t n, uint64_t ns)
{
	struct worker *w = &bed.pool->workers[i];

	w->in_flight = w->in_flight - w->lanes[0].n + n;
	w->backlog_ns = w->backlog_ns - w->lanes[0].ns + ns;
	w->lanes[0] = (struct lane_backlog){.n = n, .ns = ns};
}

/* The same of another model's. */
static void load_beta(size_t i, uint32_t n, uint64_t ns)
{
	struct worker *w = &bed.pool->workers[i];

	w->in_flight = w->in_flight - w->lanes[1].n + n;
	w->backlog_ns = w->backlog_ns - w->lanes[1].ns + ns;
	w->lanes[1] = (struct lane_backlog){.n = n, .ns = ns};
}

static void teardown(void)
{
	for (size_t i = 0; i < places_n(all); i++) {
		load(i, 0, 0);
		load_beta(i, 0, 0);
		all->list[i].reserved = NULL;
		all->list[i].exclusive = NULL;
	}
	bed_close(&bed);
}

TestSuite(place, .init = setup, .fini = teardown);
TestSuite(place_many, .fini = teardown);

/* The number of the worker that gets alpha's next batch; -1: none. */
static long pick(void)
{
	struct place *p = place_pick(all, bed.alpha->work, place_takes_batch, 0);

	return p ? p - all->list : -1;
}

static bool takes(place_fit *fit, size_t i, const struct version *v)
{
	return fit(all, &all->list[i], v->work, 0);
}

Test(place, ties_in_turn)
{
	for (int i = 0; i < 6; i++)
		cr_expect_eq(pick(), i % 3);
}

Test(place, the_one_that_is_done_first)
{
	load(0, 1, 1000 * US);
	load(1, 1, 900 * US);
	load(2, 1, 1100 * US);
	cr_expect_eq(pick(), 1);
	load(1, 1, 60 * NS_PER_S);
	cr_expect_eq(pick(), 0, "not capped");
	load(2, 0, 0);
	cr_expect_eq(pick(), 2, "nobody is quicker than one with nothing to do");
	fake_set_ready(&bed.pool->workers[2], false);
	cr_expect_eq(pick(), 0);
	cr_expect_null(place_pick(all, bed.alpha->work, place_takes_suspect, 0));
	cr_expect_not(place_is_there(all, bed.alpha->work, place_takes_suspect, 0));
	fake_set_ready(&bed.pool->workers[2], true);
	cr_expect(place_is_there(all, bed.alpha->work, place_takes_suspect, 0));
}

/* Counted: how many workers are woken for 12 batches of 5 us. */
Test(place, an_awake_worker_with_a_little_work_is_filled_first)
{
	unsigned woken = 0;

	for (uint32_t i = 1; i <= 5; i++) {
		long at = pick();

		woken += bed.pool->workers[at].in_flight == 0;
		bed.pool->workers[at].slots = 100;
		load((size_t)at, i, i * 5 * US);
	}
	cr_expect_eq(woken, 1, "they went to one");
	cr_expect_eq(bed.pool->workers[pick()].in_flight, 0, "which is full enough now");
}

/* Filling looks at the worker, all of whose lanes it wakes. */
Test(place, a_worker_with_other_work_is_filled_only_while_that_is_little)
{
	load_beta(2, 1, 15 * US);
	cr_expect_eq(pick(), 2, "it is awake");
	load_beta(2, 1, 60 * NS_PER_MS);
	cr_expect_neq(pick(), 2, "its lane is free, but so are others that do nothing");
	load(0, 1, 50 * US);
	load(1, 1, 50 * US);
	cr_expect_eq(pick(), 2, "its lane is done first");
}

Test(place, one_that_loads_a_model_is_taken_only_when_no_other_can)
{
	struct worker *w = bed.pool->workers;

	w[0].loading = w[1].loading = true;
	load(2, 1, 900 * US);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(pick(), 2, "busy is better than loading");
	cr_expect(takes(place_takes_suspect, 0, bed.alpha));
	load(2, 2, 60 * NS_PER_S);
	load(0, 1, 10 * US);
	cr_expect_eq(pick(), 1, "which is not filled either");
	w[0].loading = w[1].loading = false;
}

Test(place, what_a_lane_takes)
{
	struct place *p = &all->list[0];

	cr_assert(takes(place_takes_batch, 0, bed.alpha));
	p->reserved = bed.alpha->work;
	cr_assert_not(takes(place_takes_batch, 0, bed.alpha), "it is to become idle");
	cr_assert(takes(place_takes_suspect, 0, bed.alpha));
	cr_assert_not(takes(place_takes_suspect, 0, bed.beta));
	p->reserved = NULL;
	p->exclusive = (struct batch *)p;
	cr_assert_not(takes(place_takes, 0, bed.alpha));
	p->exclusive = NULL;
	load(0, 1, 2000 * US);
	cr_assert(takes(place_takes_batch, 0, bed.alpha), "one is at hand");
	cr_assert_not(takes(place_takes_suspect, 0, bed.alpha));
	load(0, 1, 2001 * US);
	cr_assert_not(takes(place_takes_batch, 0, bed.alpha), "but not behind slow work");
	load(0, 2, 100 * US);
	cr_assert(takes(place_takes_batch, 0, bed.alpha));
	load(0, 2, 100 * US + 1);
	cr_assert_not(takes(place_takes_batch, 0, bed.alpha));
	load(0, 4, 0);
	cr_assert_not(takes(place_takes_batch, 0, bed.alpha), "no slot is free");
}

/* A quick model beside a slow one on one worker has as many batches at hand as without it. */
Test(place, what_other_lanes_have_makes_no_difference)
{
	load_beta(0, 1, 60 * NS_PER_S);
	cr_expect_not(takes(place_takes_batch, 0, bed.beta));
	for (uint32_t n = 0; n < 3; n++) {
		load(0, n, n * 10 * US);
		cr_expect(takes(place_takes_batch, 0, bed.alpha), "%u", n);
	}
	load(0, 3, 30 * US);
	cr_expect_not(takes(place_takes_batch, 0, bed.alpha), "the slots are the worker's");
	load(0, 0, 0);
	cr_expect_not(takes(place_takes_suspect, 0, bed.alpha), "a suspect has the process");
}

Test(place, expectations_follow_what_batches_took)
{
	bed_expect(&bed, 0);
	cr_expect_eq(place_expectation(all, bed.alpha->work), 2 * NS_PER_MS + 1, "not known");
	all->pipeline_ns = 5 * NS_PER_MS;
	cr_expect_eq(place_expectation(all, bed.alpha->work), 5 * NS_PER_MS + 1);
	work_note_time(bed.alpha->work, 8000);
	cr_expect_eq(place_expectation(all, bed.alpha->work), 8000);
	work_note_time(bed.beta->work, UINT64_C(1000000000));
	cr_expect_eq(place_expectation(all, bed.beta->work), UINT64_C(1000000000), "not capped");
}

/* Counted: places looked at for a batch, where most have nothing to do. */
Test(place_many, a_pick_costs_the_same_however_many_workers_there_are)
{
	for (uint32_t n = 1; n <= FAKE_WORKERS_MAX; n *= 2) {
		up(n);
		all->n_visits = 0;
		for (int i = 0; i < 100; i++)
			cr_assert_geq(pick(), 0);
		cr_expect_leq(all->n_visits, 200, "%u workers: %llu", n,
			(unsigned long long)all->n_visits);
		/* One is filled: it is looked at first. */
		load((size_t)pick(), 1, 10 * US);
		all->n_visits = 0;
		for (int i = 0; i < 100; i++)
			cr_assert_geq(pick(), 0);
		cr_expect_eq(all->n_visits, 100, "%u workers: %llu", n,
			(unsigned long long)all->n_visits);
		if (n < FAKE_WORKERS_MAX)
			teardown();
	}
}

/* --- On a certain device ---------------------------------------------------------------------- */

static struct answer bound_answer;

/* A request that is for that device alone, in alpha's queue. */
static struct request *bind_one(const char *device)
{
	struct request *r = bed_submit(&bed, bed.alpha, &bound_answer);

	r->device = device;
	bed.alpha->work->queue.n_bound++;
	return r;
}

Test(place, what_is_bound_goes_to_its_device)
{
	struct worker *w = bed.pool->workers;
	struct request *r;

	snprintf(w[2].device, sizeof(w[2].device), "cuda:0");
	r = bind_one("cuda:0");
	cr_expect_eq(pick(), -1, "it takes no memory of clients");
	w[2].imports = true;
	for (int i = 0; i < 3; i++)
		cr_expect_eq(pick(), 2);
	cr_expect(place_suits(&all->list[2], r));
	cr_expect_not(place_suits(&all->list[1], r));
	request_unref(bed_submit(&bed, bed.alpha, &bound_answer));
	load(2, 2, 60 * NS_PER_S);
	cr_expect_eq(pick(), -1, "what is behind it in its line waits, too");
	load(2, 0, 0);
	request_cancel(r);
	request_unref(r);
	cr_expect_neq(pick(), -1);
}
