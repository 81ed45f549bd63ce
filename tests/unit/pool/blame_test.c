/* blame_test.c: models that take processes down are kept away from the device, tried, and come back. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static void crash(struct bed *b, uint32_t model)
{
	struct worker *w = bed_worker(b, 0);
	uint64_t generation = worker_generation(w);
	size_t n = b->n_events;

	cr_assert_eq(bed_run(b, 0, model, 1, 10), 0);
	bed_wait(b, b->n_events == n + 1 && worker_generation(w) == generation + 1 &&
			    worker_get_state(w) == WORKER_READY);
	cr_assert_eq(b->events[n].what, 's');
}

Test(blame, breaker_opens_and_closes)
{
	struct bed b;
	struct worker *w;
	size_t n;

	bed_init(&b, "crashy,crashy,crashy,good", "echo maybe");
	b.settings.breaker_crashes = 2;
	b.settings.breaker_cooldown_ms = 60000;
	bed_up(&b);
	w = bed_worker(&b, 0);
	crash(&b, 1);
	cr_assert_eq(pool_model_ready(b.pm[1]), 1);
	crash(&b, 1);
	cr_assert_eq(pool_model_ready(b.pm[1]), 0);
	cr_assert_eq(pool_model_hopeful(b.pm[1]), 0);
	cr_assert(
		strstr(pool_model_detail(b.pm[1]), "circuit breaker open on cpu:0: 2 crashes in"));
	cr_assert(strstr(pool_model_detail(b.pm[1]),
		" s, the last one: signal 9 (Killed); next try in 60 s"));
	/* The other model goes on. */
	cr_assert_eq(pool_model_ready(b.pm[0]), 1);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	n = b.n_events;
	bed_wait(&b, b.n_events == n + 1);
	/* The cool-down passes: it is loaded in a process of its own, then by the running worker; it crashes, and
	 * that is enough. */
	pool_breaker(b.pm[1], 0)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_assert_str_eq(pool_model_detail(b.pm[1]), "");
	crash(&b, 1);
	cr_assert_eq(pool_model_hopeful(b.pm[1]), 0);
	/* The fourth process and those behind it are good ones. */
	pool_breaker(b.pm[1], 0)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_assert_eq(pool_breaker(b.pm[1], 0)->state, BREAKER_PROBATION);
	n = b.n_events;
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == n + 1);
	cr_assert_eq(b.events[n].what, 'd');
	cr_assert_eq(pool_breaker(b.pm[1], 0)->state, BREAKER_CLOSED);
	cr_assert_eq(worker_restarts(w), 3);
	bed_drain_end(&b);
}

Test(blame, breaker_takes_the_model_from_all_of_the_device)
{
	struct bed b;

	bed_init(&b, "crashy,good", "echo maybe");
	b.places[0].count = 2;
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	b.settings.breaker_crashes = 1;
	bed_up(&b);
	cr_assert_eq(pool_model_ready(b.pm[1]), 3);
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), 0);
	bed_wait(&b, worker_generation(bed_worker(&b, 0)) == 2 &&
			     worker_get_state(bed_worker(&b, 0)) == WORKER_READY);
	cr_assert_not(worker_holds(bed_worker(&b, 0), b.pm[1]));
	cr_assert_not(worker_holds(bed_worker(&b, 1), b.pm[1]));
	cr_assert(worker_holds(bed_worker(&b, 2), b.pm[1]));
	cr_assert_eq(pool_model_ready(b.pm[0]), 3);
	/* One tries; when it has run a batch, the other gets it, too. */
	pool_breaker(b.pm[1], 0)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 2);
	cr_assert(worker_holds(bed_worker(&b, 0), b.pm[1]));
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 3);
	bed_drain_end(&b);
}

Test(blame, breaker_takes_a_model_that_is_just_being_loaded)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "maybe echo");
	b.settings.breaker_crashes = 1;
	bed_start(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, b.pm[0]->holdings[0].state == HOLDING_LOADING);
	/* As if another worker of the device had crashed by it. */
	pool_blame(b.pm[0], w);
	bed_wait(&b, b.n_started == 1);
	cr_assert_not(worker_holds(w, b.pm[0]));
	cr_assert(worker_holds(w, b.pm[1]));
	cr_assert_eq(pool_model_ready(b.pm[0]), 0);
	/* It comes back after the cool-down. */
	pool_breaker(b.pm[0], 0)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	cr_assert_eq(worker_restarts(w), 0);
	bed_drain_end(&b);
}

Test(blame, unload_waits_for_batches_in_flight)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold echo");
	b.settings.breaker_crashes = 1;
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	/* As if another worker of the device had crashed by it. */
	pool_blame(b.pm[0], w);
	cr_assert_not(worker_holds(w, b.pm[0]));
	cr_assert(b.pm[0]->holdings[0].state == HOLDING_LEAVING);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	bed_wait(&b, b.n_events == 2 && b.pm[0]->holdings[0].state != HOLDING_LEAVING);
	cr_assert_eq(b.events[0].tag, 1);
	cr_assert_eq(b.events[0].what, 'd');
	/* It comes back after the cool-down. */
	pool_breaker(b.pm[0], 0)->until_ns = clock_ns();
	pool_soon(b.pool);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	cr_assert_eq(worker_restarts(w), 0);
	bed_drain_end(&b);
}

Test(blame, breaker_of_a_model_that_crashes_while_loading)
{
	struct bed b;

	bed_init(&b, "good", "echo crashload");
	b.settings.breaker_crashes = 2;
	bed_start(&b);
	bed_wait(&b, pool_breaker(b.pm[1], 0)->state == BREAKER_OPEN &&
			     worker_get_state(bed_worker(&b, 0)) == WORKER_READY);
	cr_assert_eq(worker_restarts(bed_worker(&b, 0)), 1,
		"the second crash was in a process of its own");
	cr_assert_eq(pool_model_ready(b.pm[0]), 1);
	cr_assert(strstr(pool_model_detail(b.pm[1]), "circuit breaker open"));
	cr_assert_str_eq(pool_model_detail(b.pm[0]), "");
	bed_drain_end(&b);
}
