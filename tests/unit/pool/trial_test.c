/* trial_test.c: models under suspicion are loaded where they can hurt nobody. */
#include "pool/trial.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

/* The one of cpu:0, where that is all there is. */
static struct worker *trial_of(struct bed *b)
{
	return &b->pool->workers[b->pool->n_workers];
}

static bool is_over(struct bed *b)
{
	return worker_get_state(trial_of(b)) == WORKER_REAPED;
}

static struct breaker *breaker_of(struct bed *b, size_t model)
{
	return pool_breaker(b->pm[model], 0);
}

/* The cool-down passes. */
static void cool_down(struct bed *b, size_t model)
{
	breaker_of(b, model)->until_ns = clock_ns();
	pool_soon(b->pool);
	bed_wait(b, breaker_of(b, model)->state != BREAKER_OPEN);
}

Test(trial, what_crashes_in_loading_takes_one_worker_once)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo crashload");
	bed_start(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN && b.n_started == 1);
	cr_expect_str_eq(worker_name(trial_of(&b)), "cpu:0/trial");
	for (int i = 0; i < 3; i++) {
		uint64_t tries = worker_generation(trial_of(&b));

		cool_down(&b, 1);
		cr_expect_eq(breaker_of(&b, 1)->state, BREAKER_TRIAL);
		cr_expect_str_eq(pool_model_detail(b.pm[1]),
			"it is tried in a process of its own on cpu:0 after: signal 9 (Killed)");
		bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN && is_over(&b));
		cr_expect_eq(worker_generation(trial_of(&b)), tries + 1);
	}
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	cr_expect_eq(worker_restarts(w), 1);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	bed_drain_end(&b);
}

Test(trial, what_loads_well_there_comes_back)
{
	struct bed b;

	bed_init(&b, "odd,good", "echo oddload");
	bed_up(&b);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(breaker_of(&b, 1)->state, BREAKER_CLOSED);
	cr_expect_eq(breaker_of(&b, 1)->crashes, 1, "it is remembered");
	cr_expect_eq(worker_restarts(bed_worker(&b, 0)), 1);
	cr_expect(is_over(&b), "its memory is back before others load it");
	cr_expect_eq(trial_of(&b)->verdict, WORKER_CLEAN);
	cr_expect_eq(bed_run(&b, 0, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'd');
	bed_drain_end(&b);
}

/* It hangs, beside a batch that has nothing to do with it. */
Test(trial, what_hangs_in_loading_hurts_nobody)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold hangload echo");
	b.settings.load_timeout_ms = 200;
	bed_start(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, b.pm[1]->holdings[0].state == HOLDING_LOADING);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'i', "the load is to blame");
	cr_expect(strstr(w->loss, "loading model 'hangload'"));
	/* The others are there while it hangs in a process of its own. */
	bed_wait(&b, trial_of(&b)->loading == b.pm[1] && worker_get_state(w) == WORKER_READY);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	cr_expect_eq(pool_model_ready(b.pm[2]), 1);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_OPEN);
	cr_expect_eq(worker_restarts(w), 1);
	bed_drain_end(&b);
}

Test(trial, what_goes_while_it_is_tried_is_gone)
{
	struct bed b;

	bed_init(&b, "good", "echo hangload");
	b.settings.load_timeout_ms = 200;
	bed_up(&b);
	bed_wait(&b, trial_of(&b)->loading == b.pm[1]);
	b.settings.load_timeout_ms = 60000;
	b.inside = true;
	pool_model_retire(b.pm[1]);
	b.inside = false;
	bed_wait(&b, b.n_models_gone == 1);
	bed_wait(&b, is_over(&b));
	bed_drain_end(&b);
}

Test(trial, drain_and_kill_end_it)
{
	for (int i = 0; i < 2; i++) {
		struct bed b;

		bed_init(&b, "good", "echo hangload");
		b.settings.load_timeout_ms = 200;
		bed_up(&b);
		bed_wait(&b, trial_of(&b)->loading == b.pm[1]);
		if (i == 0)
			bed_drain_end(&b);
		else
			bed_end(&b);
	}
}

/* Orderly failures are no crashes: whoever wants may say no, too. */
Test(trial, what_is_refused_there_is_refused_by_workers)
{
	struct bed b;

	bed_init(&b, "good", "echo noload");
	bed_up(&b);
	pool_suspect(b.pm[1], bed_worker(&b, 0));
	cr_expect_eq(breaker_of(&b, 1)->state, BREAKER_TRIAL);
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_CLOSED && is_over(&b));
	cr_expect_eq(worker_generation(trial_of(&b)), 1);
	cr_expect_str_eq(pool_model_detail(b.pm[1]), "load failed on cpu:0: no such thing");
	bed_drain_end(&b);
}

/* Whoever is told that it cannot be loaded may unload it at once. */
Test(trial, what_is_refused_there_may_go_before_the_process_does)
{
	struct bed b;

	bed_init(&b, "good", "echo noload");
	bed_up(&b);
	pool_suspect(b.pm[1], bed_worker(&b, 0));
	bed_wait(&b, trial_of(&b)->tried == b.pm[1]);
	bed_retire(&b, 1);
	cr_expect_null(trial_of(&b)->tried);
	bed_wait(&b, b.n_models_gone == 1 && is_over(&b));
	bed_drain_end(&b);
}

Test(trial, several_are_tried_one_after_the_other)
{
	struct bed b;

	bed_init(&b, "good", "echo a b");
	bed_up(&b);
	for (size_t i = 1; i < 3; i++) {
		pool_suspect(b.pm[i], bed_worker(&b, 0));
		pool_suspect(b.pm[i], bed_worker(&b, 0));
	}
	bed_wait(&b, breaker_of(&b, 1)->state == BREAKER_CLOSED);
	cr_expect_eq(breaker_of(&b, 2)->state, BREAKER_TRIAL);
	bed_wait(&b, breaker_of(&b, 2)->state == BREAKER_CLOSED);
	cr_expect_eq(worker_generation(trial_of(&b)), 2, "each in a process of its own");
	cr_expect_eq(trial_of(&b)->failures, 1, "which is none: the next is not waited for");
	bed_wait(&b, is_over(&b) && trial_of(&b)->restart_at_ns == 0);
	bed_drain_end(&b);
}
