/* Tests of place.c: what a worker takes, who is least loaded, and how long batches should take. */
#include "dispatch/place.h"

#include <criterion/criterion.h>

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

Test(place, the_least_loaded_and_ties_in_turn)
{
	struct place places[] = {place_of(0), place_of(1), place_of(2)};
	size_t next = 0;

	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(place_pick(places, 3, &next, bed.alpha->work, place_takes_batch),
			&places[i % 3]);
	bed.pool->workers[0].in_flight = bed.pool->workers[2].in_flight = 1;
	for (size_t i = 0; i < 3; i++)
		cr_assert_eq(place_pick(places, 3, &next, bed.alpha->work, place_takes_batch),
			&places[1]);
	fake_set_ready(&bed.pool->workers[1], false);
	cr_assert_neq(place_pick(places, 3, &next, bed.alpha->work, place_takes_batch), &places[1]);
	cr_assert_null(place_pick(places, 3, &next, bed.alpha->work, place_takes_suspect));
	bed.pool->workers[0].in_flight = bed.pool->workers[2].in_flight = 0;
	fake_set_ready(&bed.pool->workers[1], true);
}

Test(place, what_a_worker_takes)
{
	struct place p = place_of(0);
	struct worker *w = p.worker;

	cr_assert(place_takes_batch(&p, bed.alpha->work));
	p.reserved = bed.alpha->work;
	cr_assert_not(place_takes_batch(&p, bed.alpha->work), "it is to become idle");
	cr_assert(place_takes_suspect(&p, bed.alpha->work));
	cr_assert_not(place_takes_suspect(&p, bed.beta->work));
	p.reserved = NULL;
	p.exclusive = (struct batch *)w;
	cr_assert_not(place_takes(&p, bed.alpha->work));
	p.exclusive = NULL;
	w->in_flight = 1;
	p.expect_ns = UINT64_MAX / 2;
	cr_assert(place_takes_batch(&p, bed.alpha->work), "one is always at hand");
	w->in_flight = 2;
	cr_assert_not(place_takes_batch(&p, bed.alpha->work));
	p.expect_ns = 100000;
	cr_assert(place_takes_batch(&p, bed.alpha->work));
	p.expect_ns++;
	cr_assert_not(place_takes_batch(&p, bed.alpha->work));
	p.expect_ns = 0;
	w->in_flight = 4;
	cr_assert_not(place_takes_batch(&p, bed.alpha->work), "no slot is free");
	w->in_flight = 0;
}

Test(place, expectations_follow_what_batches_took)
{
	const uint64_t most = 100001;
	const struct place p = place_of(0);

	cr_assert_eq(place_expectation(&p, bed.alpha->work), most, "not known");
	work_note_time(bed.alpha->work, 8000);
	cr_assert_eq(place_expectation(&p, bed.alpha->work), 8000);
	work_note_time(bed.alpha->work, 16000);
	cr_assert_eq(place_expectation(&p, bed.alpha->work), 9000);
	work_note_time(bed.alpha->work, 1000);
	cr_assert_eq(place_expectation(&p, bed.alpha->work), 8000);
	work_note_time(bed.alpha->work, 0);
	cr_assert_eq(place_expectation(&p, bed.alpha->work), 7000);
	work_note_time(bed.alpha->work, UINT64_C(1000000000));
	cr_assert_eq(place_expectation(&p, bed.alpha->work), most);
	cr_assert_eq(place_expectation(&p, bed.beta->work), most);
}
