/* move_test.c: models that share workers until they crash one. */
#include "pool/move.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

#define SHARED 0u
#define OWN    1u

#define RETURN_MS UINT64_C(3600000)

static void init(struct bed *b, const char *script, const char *names, uint32_t max)
{
	bed_init(b, script, names);
	b->settings.max_model_workers = max;
	b->settings.isolation_return_ms = RETURN_MS;
	b->models[1].isolation = ISOLATION_AUTO;
}

/* Model 1 ends a worker by a batch. */
static void crash(struct bed *b, size_t worker)
{
	size_t n = b->n_events;

	cr_assert_eq(bed_run(b, worker, 1, 1, 10), 0);
	bed_wait(b, b->n_events == n + 1);
}

/* The hour passes; the machine may not be up for one. */
static void pass_hour(struct bed *b)
{
	b->settings.isolation_return_ms = 1;
	b->pm[1]->blamed_ns = 0;
	pool_soon(b->pool);
	bed_wait(b, !b->pm[1]->isolated);
	b->settings.isolation_return_ms = RETURN_MS;
}

Test(move, one_that_hangs_moves_out)
{
	struct bed b;

	init(&b, "good", "echo hang", 1);
	b.models[1].run_timeout_ms = 100;
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 1);
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1 && pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_model(bed_worker(&b, OWN)), &b.models[1]);
	cr_expect_not(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	crash(&b, OWN);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 1, "the others notice once");
	bed_drain_end(&b);
}

Test(move, other_workers_unload_it)
{
	struct bed b;

	init(&b, "good", "echo hang", 2);
	b.places[0].count = 2;
	b.models[1].run_timeout_ms = 100;
	bed_up(&b);
	cr_expect(worker_holds(bed_worker(&b, 1), b.pm[1]));
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 2 && pool_model_ready(b.pm[0]) == 2);
	cr_expect(worker_holds(bed_worker(&b, 2), b.pm[1]));
	cr_expect(worker_holds(bed_worker(&b, 3), b.pm[1]));
	bed_wait(&b, b.pm[1]->holdings[1].state == HOLDING_NONE);
	bed_drain_end(&b);
}

Test(move, whom_others_kill_stays)
{
	struct bed b;

	init(&b, "good", "echo hold", 1);
	bed_up(&b);
	cr_assert_eq(bed_run(&b, SHARED, 1, 1, 10), 0);
	pool_flush(b.pool);
	kill(worker_pid(bed_worker(&b, SHARED)), SIGKILL);
	bed_wait(&b, b.n_events == 1 && pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(pool_breaker(b.pm[1], 0)->crashes, 1);
	cr_expect_eq(pool_n_workers(b.pool), 1);
	bed_drain_end(&b);
}

Test(move, what_hangs_in_loading_moves_out)
{
	struct bed b;

	init(&b, "good", "echo hangload", 1);
	b.settings.load_timeout_ms = 200;
	bed_start(&b);
	bed_wait(&b, pool_n_workers(b.pool) == 2 && bed_worker(&b, OWN)->loading == b.pm[1]);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	bed_wait(&b, pool_breaker(b.pm[1], 0)->state == BREAKER_OPEN);
	cr_expect_eq(worker_restarts(bed_worker(&b, SHARED)), 1);
	cr_expect_eq(b.pool->workers[b.pool->max_workers].generation, 0, "no trial");
	bed_drain_end(&b);
}

Test(move, no_place)
{
	struct bed b;

	init(&b, "good", "echo hang", 0);
	b.models[1].run_timeout_ms = 100;
	bed_up(&b);
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	bed_drain_end(&b);
}

Test(move, good_behaviour_brings_it_back)
{
	struct bed b;

	init(&b, "good", "echo hang", 1);
	b.models[1].run_timeout_ms = 100;
	bed_up(&b);
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	pass_hour(&b);
	bed_wait(&b, pool_n_workers(b.pool) == 1);
	cr_expect(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	/* And out again. */
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_model(bed_worker(&b, OWN)), &b.models[1]);
	bed_drain_end(&b);
}

static void move_out_of_shared(struct bed *b)
{
	b->models[1].run_timeout_ms = 100;
	bed_up(b);
	crash(b, SHARED);
	bed_wait(b, pool_model_ready(b->pm[1]) == 1);
	cr_assert(worker_holds(bed_worker(b, OWN), b->pm[1]));
}

Test(move, whom_somebody_needs_stays_until_he_does_not)
{
	struct worker *own;
	struct bed b;

	init(&b, "good", "echo hang", 1);
	move_out_of_shared(&b);
	own = bed_worker(&b, OWN);
	worker_bind(own);
	cr_expect_not(worker_is_ending(own));
	pass_hour(&b);
	bed_wait(&b, worker_is_ending(own));
	cr_expect(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	cr_expect(worker_holds(own, b.pm[1]));
	worker_unbind(own);
	bed_wait(&b, pool_n_workers(b.pool) == 1);
	cr_expect(worker_holds(bed_worker(&b, SHARED), b.pm[1]));
	bed_drain_end(&b);
}

Test(move, whom_somebody_needs_is_its_own_again_when_it_crashes)
{
	struct worker *own;
	struct bed b;

	init(&b, "good", "echo hang", 1);
	move_out_of_shared(&b);
	own = bed_worker(&b, OWN);
	worker_bind(own);
	pass_hour(&b);
	bed_wait(&b, worker_is_ending(own));
	crash(&b, SHARED);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1 && b.pm[1]->isolated);
	cr_expect_not(worker_is_ending(own));
	worker_unbind(own);
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(worker_restarts(own), 0);
	bed_drain_end(&b);
}

/* Those that it had are about to end: they do not count. */
Test(move, out_while_those_that_it_had_are_about_to_end)
{
	struct bed b;

	init(&b, "good", "echo hang", 2);
	move_out_of_shared(&b);
	/* What runs there takes its time. */
	b.models[1].run_timeout_ms = 60000;
	cr_assert_eq(bed_run(&b, OWN, 1, 1, 10), 0);
	pass_hour(&b);
	bed_wait(&b, bed_worker(&b, OWN)->leaving);
	b.models[1].run_timeout_ms = 100;
	move_out(b.pm[1], bed_worker(&b, SHARED));
	cr_expect(b.pm[1]->isolated);
	cr_expect_eq(b.pm[1]->n_own, 2);
	bed_wait(&b, b.pm[1]->n_own == 1 && pool_model_ready(b.pm[1]) == 1);
	cr_expect(worker_holds(bed_worker(&b, OWN + 1), b.pm[1]));
	bed_drain_end(&b);
}

/* As with a process that would be replaced. */
Test(move, what_keeps_state_of_its_own_stays_out)
{
	struct bed b;

	init(&b, "good", "echo hang", 1);
	b.models[1].keeps_state = true;
	move_out_of_shared(&b);
	cr_expect_eq(move_deadline(b.pool), CLOCK_NO_DEADLINE);
	bed_drain_end(&b);
}

Test(move, may_go_while_it_moves)
{
	struct bed b;

	init(&b, "good", "echo hang", 1);
	b.models[1].run_timeout_ms = 100;
	bed_up(&b);
	crash(&b, SHARED);
	b.inside = true;
	pool_model_retire(b.pm[1]);
	b.inside = false;
	bed_wait(&b, b.n_models_gone == 1 && pool_n_workers(b.pool) == 1);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	bed_drain_end(&b);
}
