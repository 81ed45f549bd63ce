/* Tests of place.c: what a worker takes, who is least loaded, and how long batches should take. */
#include "dispatch/place.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;

static void setup(void)
{
	bed_init(&bed);
	bed.place.count = 3;
	bed.pool_settings.slots = 4;
	bed.settings.pipeline_us = 100;
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(place, .init = setup, .fini = teardown);

static struct place place_of(size_t i)
{
	return (struct place){.worker = &bed.pool->workers[i], .pipeline_ns = 100000};
}

#define US NS_PER_US

static struct place *pick(struct place *places, size_t *next)
{
	return place_pick(places, 3, next, bed.alpha->work, place_takes_batch, 0);
}

/* So much is in flight there, in batches of some equal length. */
static void load(struct place *p, uint32_t n, uint64_t expect_ns)
{
	p->worker->in_flight = n;
	p->expect_ns = expect_ns;
	p->since_ns = 0;
}

static void unload_all(void)
{
	for (size_t i = 0; i < 3; i++)
		bed.pool->workers[i].in_flight = 0;
}

Test(place, ties_in_turn)
{
	struct place places[] = {place_of(0), place_of(1), place_of(2)};
	size_t next = 0;

	for (size_t i = 0; i < 6; i++)
		cr_expect_eq(pick(places, &next), &places[i % 3]);
}

Test(place, the_one_that_is_done_first)
{
	struct place places[] = {place_of(0), place_of(1), place_of(2)};
	size_t next = 0;

	load(&places[0], 1, 1000 * US);
	load(&places[1], 1, 900 * US);
	load(&places[2], 1, 1100 * US);
	cr_expect_eq(pick(places, &next), &places[1]);
	load(&places[1], 1, 60 * NS_PER_S);
	cr_expect_eq(pick(places, &next), &places[0], "not capped");
	load(&places[2], 0, 0);
	cr_expect_eq(
		pick(places, &next), &places[2], "nobody is quicker than one with nothing to do");
	fake_set_ready(&bed.pool->workers[2], false);
	cr_expect_eq(pick(places, &next), &places[0]);
	cr_expect_null(place_pick(places, 3, &next, bed.alpha->work, place_takes_suspect, 0));
	fake_set_ready(&bed.pool->workers[2], true);
	unload_all();
}

/* Counted: how many workers are woken for 12 batches of 5 us. */
Test(place, an_awake_worker_with_a_little_work_is_filled_first)
{
	struct place places[] = {place_of(0), place_of(1), place_of(2)};
	size_t next = 0;
	unsigned woken = 0;

	for (int i = 0; i < 5; i++) {
		struct place *p = pick(places, &next);

		woken += p->worker->in_flight == 0;
		place_begin(p, 5 * US, 0);
		p->worker->in_flight++;
		p->worker->slots = 100;
	}
	cr_expect_eq(woken, 1, "they went to one");
	cr_expect_neq(pick(places, &next)->worker->in_flight, 5, "which is full enough now");
	unload_all();
}

/* It has kept a batch for longer than it should take: who knows how long it will. */
Test(place, one_that_is_late_counts_as_busy_for_as_long_again)
{
	struct place places[] = {place_of(0), place_of(1), place_of(2)};
	uint64_t now_ns = 50 * NS_PER_MS;
	size_t next = 1;

	load(&places[0], 1, 5 * US);
	load(&places[1], 1, 1500 * US);
	places[1].since_ns = now_ns;
	load(&places[2], 1, 1600 * US);
	places[2].since_ns = now_ns;
	cr_expect_eq(place_load(&places[0], 500 * US), 5 * US, "not late yet");
	cr_expect_eq(place_load(&places[0], now_ns), now_ns);
	cr_expect_not(place_takes_batch(&places[0], bed.alpha->work, now_ns));
	cr_expect_eq(place_pick(places, 3, &next, bed.alpha->work, place_takes_batch, now_ns),
		&places[1]);
	place_end(&places[0], 0, now_ns);
	cr_expect_eq(place_load(&places[0], now_ns), 5 * US, "an answer came");
	unload_all();
}

Test(place, what_a_worker_takes)
{
	struct place p = place_of(0);
	struct worker *w = p.worker;

	cr_assert(place_takes_batch(&p, bed.alpha->work, 0));
	p.reserved = bed.alpha->work;
	cr_assert_not(place_takes_batch(&p, bed.alpha->work, 0), "it is to become idle");
	cr_assert(place_takes_suspect(&p, bed.alpha->work, 0));
	cr_assert_not(place_takes_suspect(&p, bed.beta->work, 0));
	p.reserved = NULL;
	p.exclusive = (struct batch *)w;
	cr_assert_not(place_takes(&p, bed.alpha->work, 0));
	p.exclusive = NULL;
	load(&p, 0, 0);
	cr_assert(place_takes_batch(&p, bed.alpha->work, 0));
	load(&p, 1, 2000 * US);
	cr_assert(place_takes_batch(&p, bed.alpha->work, 0), "one is at hand");
	load(&p, 1, 2001 * US);
	cr_assert_not(place_takes_batch(&p, bed.alpha->work, 0), "but not behind slow work");
	load(&p, 2, 100 * US);
	cr_assert(place_takes_batch(&p, bed.alpha->work, 0));
	load(&p, 2, 100 * US + 1);
	cr_assert_not(place_takes_batch(&p, bed.alpha->work, 0));
	load(&p, 4, 0);
	cr_assert_not(place_takes_batch(&p, bed.alpha->work, 0), "no slot is free");
	w->in_flight = 0;
}

Test(place, expectations_follow_what_batches_took)
{
	struct place p = place_of(0);

	cr_expect_eq(place_expectation(&p, bed.alpha->work), NS_PER_MS + 1, "not known");
	p.pipeline_ns = 5 * NS_PER_MS;
	cr_expect_eq(place_expectation(&p, bed.alpha->work), 5 * NS_PER_MS + 1);
	work_note_time(bed.alpha->work, 8000);
	cr_expect_eq(place_expectation(&p, bed.alpha->work), 8000);
	work_note_time(bed.beta->work, UINT64_C(1000000000));
	cr_expect_eq(place_expectation(&p, bed.beta->work), UINT64_C(1000000000), "not capped");
}

Test(place, what_is_there_is_counted)
{
	struct place p = {0};

	place_begin(&p, 5, 100);
	place_begin(&p, 7, 200);
	cr_expect_eq(p.expect_ns, 12);
	cr_expect_eq(p.since_ns, 100);
	place_end(&p, 5, 300);
	cr_expect_eq(p.expect_ns, 7);
	cr_expect_eq(p.since_ns, 300);
}
