/* recycle_test.c: workers that are replaced because models have left too much in them. */
#include "pool/recycle.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/log.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

#define OLD 0u
#define NEW 1u

/* Each unload in a "leaky" process leaves 1000 bytes there. */
static void init(struct bed *b, const char *script, const char *names, uint64_t limit)
{
	bed_init(b, script, names);
	b->settings.recycle_after_unload_bytes = limit;
	for (size_t i = 0; i < b->n_models; i++)
		b->models[i].isolation = ISOLATION_DEVICE;
}

/* The last model goes, and comes again. */
static void leave_behind(struct bed *b)
{
	uint32_t n = b->n_models_gone;

	bed_retire(b, b->n_models - 1);
	bed_wait(b, b->n_models_gone == n + 1);
	bed_add(b, b->n_models - 1);
}

static bool is_done(struct bed *b, size_t old, size_t new)
{
	return worker_rests(bed_worker(b, old)) && bed_worker(b, new)->state == WORKER_READY &&
	       pool_model_ready(b->pm[0]) == 1;
}

Test(recycle, where_it_is_off_there_is_no_place_more)
{
	struct bed b;

	init(&b, "leaky", "echo second", 0);
	bed_up(&b);
	cr_expect_eq(pool_max_workers(b.pool), 1);
	leave_behind(&b);
	cr_expect_eq(worker_stayed_bytes(bed_worker(&b, OLD)), 1000);
	leave_behind(&b);
	cr_expect_eq(worker_stayed_bytes(bed_worker(&b, OLD)), 2000);
	bed_drain_end(&b);
}

Test(recycle, a_place_rests)
{
	struct bed b;

	init(&b, "leaky", "echo second", 3000);
	bed_up(&b);
	cr_expect_eq(pool_n_workers(b.pool), 2);
	cr_expect(worker_is_used(bed_worker(&b, OLD)));
	cr_expect_not(worker_is_used(bed_worker(&b, NEW)));
	leave_behind(&b);
	leave_behind(&b);
	cr_expect_eq(worker_pid(bed_worker(&b, NEW)), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_expect_eq(b.pool->n_processes, 1);
	bed_drain_end(&b);
}

Test(recycle, a_new_process_takes_over)
{
	struct bed b;
	pid_t pid;

	init(&b, "leaky,good", "echo second", 2000);
	bed_up(&b);
	pid = worker_pid(bed_worker(&b, OLD));
	leave_behind(&b);
	leave_behind(&b);
	bed_wait(&b, is_done(&b, OLD, NEW));
	cr_expect_eq(kill(pid, 0), -1);
	cr_expect_eq(worker_stayed_bytes(bed_worker(&b, NEW)), 0);
	cr_expect_not(worker_is_used(bed_worker(&b, OLD)));
	cr_expect(worker_is_used(bed_worker(&b, NEW)));
	cr_expect_str_eq(worker_name(bed_worker(&b, NEW)), "cpu:0/1");
	cr_expect_eq(worker_ends(bed_worker(&b, OLD), WORKER_CLEAN), 1);
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_assert_eq(bed_run(&b, NEW, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'd');
	cr_expect_eq(bed_run(&b, OLD, 1, 2, 10), WORKER_E_BUSY);
	bed_drain_end(&b);
}

Test(recycle, and_back)
{
	struct bed b;

	init(&b, "leaky", "echo second", 1000);
	bed_up(&b);
	for (size_t i = 0; i < 4; i++) {
		leave_behind(&b);
		bed_wait(&b, is_done(&b, i % 2, (i + 1) % 2));
	}
	cr_expect_eq(b.pool->n_processes, 5);
	cr_expect_eq(worker_restarts(bed_worker(&b, OLD)), 2);
	bed_drain_end(&b);
}

Test(recycle, what_runs_is_finished_however_long_it_takes)
{
	struct bed b;
	struct worker *old;

	init(&b, "leaky", "hold second", 1000);
	b.settings.drain_timeout_ms = 1;
	bed_up(&b);
	old = bed_worker(&b, OLD);
	cr_assert_eq(bed_run(&b, OLD, 0, 1, 10), 0);
	leave_behind(&b);
	bed_wait(&b, old->state == WORKER_DRAINING);
	cr_expect_eq(bed_worker(&b, NEW)->state, WORKER_READY);
	cr_expect(worker_is_used(old));
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_expect_gt(
		worker_deadline(old), clock_ns() + 10 * NS_PER_S, "only the batch's limit counts");
	worker_cancel(old, (void *)1);
	b.settings.drain_timeout_ms = 20000;
	bed_wait(&b, b.n_events == 1 && worker_rests(old));
	cr_expect_eq(b.events[0].what, 'd');
	bed_drain_end(&b);
}

Test(recycle, the_daemon_ends_meanwhile)
{
	struct bed b;

	init(&b, "leaky", "hold second", 1000);
	b.settings.drain_timeout_ms = 50;
	bed_up(&b);
	cr_assert_eq(bed_run(&b, OLD, 0, 1, 10), 0);
	leave_behind(&b);
	bed_wait(&b, bed_worker(&b, OLD)->state == WORKER_DRAINING);
	bed_drain_end(&b);
	cr_expect_eq(b.events[0].what, 's');
}

Test(recycle, one_of_a_device_at_a_time)
{
	struct bed b;

	init(&b, "leaky", "echo second", 1000);
	b.places[0].count = 2;
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 3);
	leave_behind(&b);
	while (b.pool->n_processes < 4 || pool_model_ready(b.pm[1]) < 2) {
		uint32_t n_used = 0, n_replaced = 0;

		for (size_t i = 0; i < 3; i++) {
			n_used += worker_counts(bed_worker(&b, i));
			n_replaced += bed_worker(&b, i)->replaces != NULL;
		}
		cr_assert_eq(n_used, 2);
		cr_assert_leq(n_replaced, 1);
		cr_assert_geq(pool_model_ready(b.pm[0]), 2);
		bed_turn(&b);
	}
	/* Who said first what it has left was replaced first, and the other one rests in the end. */
	bed_wait(&b, (worker_rests(bed_worker(&b, 0)) || worker_rests(bed_worker(&b, 1))) &&
			     pool_model_ready(b.pm[0]) == 2);
	cr_expect_eq(b.pool->n_processes, 4);
	bed_drain_end(&b);
}

Test(recycle, devices_have_a_place_each)
{
	struct bed b;

	init(&b, "leaky", "echo second", 1000);
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 4);
	leave_behind(&b);
	bed_wait(&b, worker_rests(bed_worker(&b, 0)) && worker_rests(bed_worker(&b, 1)) &&
			     pool_model_ready(b.pm[1]) == 2);
	cr_expect_str_eq(worker_name(bed_worker(&b, 2)), "cpu:0/1");
	cr_expect_str_eq(worker_name(bed_worker(&b, 3)), "cpu:1/1");
	bed_drain_end(&b);
}

Test(recycle, a_new_process_that_ends)
{
	struct bed b;
	struct worker *old;

	init(&b, "leaky,exit77,good", "echo second", 1000);
	bed_up(&b);
	old = bed_worker(&b, OLD);
	leave_behind(&b);
	bed_wait(&b, b.pool->n_processes == 2 && worker_rests(bed_worker(&b, NEW)));
	cr_expect_eq(old->state, WORKER_READY);
	cr_expect_eq(old->kept_bytes, 1000);
	cr_expect_not(worker_is_ending(old));
	cr_expect_eq(worker_restart_at_ns(bed_worker(&b, NEW)), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 1);
	/* As much again, and it is tried again. */
	leave_behind(&b);
	bed_wait(&b, is_done(&b, OLD, NEW));
	cr_expect_eq(old->kept_bytes, 0);
	bed_drain_end(&b);
}

Test(recycle, a_new_process_that_cannot_load_all)
{
	struct bed b;
	struct worker *old;

	init(&b, "leaky,poor", "echo second third", 1000);
	bed_up(&b);
	old = bed_worker(&b, OLD);
	leave_behind(&b);
	bed_wait(&b, b.pool->n_processes == 2 && worker_rests(bed_worker(&b, NEW)));
	cr_expect_eq(old->state, WORKER_READY);
	cr_expect(worker_holds(old, b.pm[1]));
	cr_expect_eq(pool_model_failed(b.pm[1]), 0);
	bed_drain_end(&b);
}

Test(recycle, it_ends_before_it_was_replaced)
{
	struct bed b;
	struct worker *old;

	init(&b, "leaky,slow", "echo second", 1000);
	bed_up(&b);
	old = bed_worker(&b, OLD);
	leave_behind(&b);
	bed_wait(&b, bed_worker(&b, NEW)->loading);
	kill(worker_pid(old), SIGKILL);
	bed_wait(&b, worker_rests(old));
	cr_expect_eq(worker_restart_at_ns(old), 0);
	cr_expect_null(bed_worker(&b, NEW)->replaces);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_expect_eq(pool_model_ready(b.pm[0]), 0);
	bed_end(&b);
}

Test(recycle, the_last_that_need_it_are_waited_for)
{
	struct bed b;
	struct worker *old, *new;

	init(&b, "leaky", "echo second", 1000);
	bed_up(&b);
	old = bed_worker(&b, OLD);
	new = bed_worker(&b, NEW);
	worker_bind(old);
	worker_bind(old);
	cr_expect_not(worker_is_ending(old));
	leave_behind(&b);
	bed_wait(&b, new->replaces);
	cr_expect(worker_is_ending(new), "it may be given up");
	bed_wait(&b, worker_is_ending(old));
	cr_expect_not(worker_is_ending(new));
	cr_expect_eq(old->state, WORKER_READY);
	cr_assert_eq(bed_run(&b, OLD, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	worker_unbind(old);
	cr_expect_eq(old->state, WORKER_READY);
	worker_unbind(old);
	bed_wait(&b, is_done(&b, OLD, NEW));
	bed_drain_end(&b);
}

Test(recycle, what_both_have_counts_once)
{
	struct bed b;

	init(&b, "leaky", "echo second", 1000);
	bed_up(&b);
	worker_bind(bed_worker(&b, OLD));
	leave_behind(&b);
	bed_wait(&b, worker_is_ending(bed_worker(&b, OLD)));
	cr_expect_eq(pool_model_ready(b.pm[0]), 2);
	cr_expect_eq(pool_model_memory(b.pm[0], NULL), 1000);
	worker_unbind(bed_worker(&b, OLD));
	bed_wait(&b, is_done(&b, OLD, NEW));
	cr_expect_eq(pool_model_memory(b.pm[0], NULL), 1000);
	bed_drain_end(&b);
}

/* Models' own are as many as workers that count. */
Test(recycle, a_models_own_are_not_more_for_it)
{
	struct bed b;

	init(&b, "leaky", "echo own second", 1000);
	b.settings.max_model_workers = 2;
	b.models[1].isolation = ISOLATION_MODEL;
	bed_up(&b);
	cr_expect_eq(b.pm[1]->n_own, 1);
	leave_behind(&b);
	bed_wait(&b, is_done(&b, OLD, NEW));
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 2);
	bed_add(&b, 1);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(b.pm[1]->n_own, 1);
	bed_drain_end(&b);
}

Test(recycle, a_model_with_state_keeps_its_process)
{
	struct bed b;

	init(&b, "leaky", "echo second", 1000);
	b.models[0].keeps_state = true;
	bed_up(&b);
	leave_behind(&b);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(worker_stayed_bytes(bed_worker(&b, OLD)), 1000);
	cr_expect_eq(b.pool->n_processes, 1);
	/* Until it goes. */
	bed_retire(&b, 0);
	bed_wait(&b, worker_rests(bed_worker(&b, OLD)) && pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(b.pool->n_processes, 2);
	bed_drain_end(&b);
}

/* --- Those that may read less than others ------------------------------------------------------- */

#define THIRD 2u

static const char *const wide[] = {"MODELD_SANDBOX=on", "MODELD_SANDBOX_MODELS=/a\n/b\n", NULL};
static unsigned n_told; /* that a restart is needed */

static void on_line(void *data, enum log_level level, uint64_t time_ns, const char *line, size_t n)
{
	(void)data;
	(void)time_ns;
	n_told += level == LOG_LEVEL_WARNING && memmem(line, n, "restart modeld", 14);
}

/* A repository is added, with a model in it. */
static void widen(struct bed *b)
{
	n_told = 0;
	log_set_level(LOG_LEVEL_WARNING);
	log_tap(on_line, NULL);
	cr_assert_eq(pool_set_sandbox(b->pool, wide, true), 0);
	bed_add_named(b, "third");
}

Test(recycle, one_that_may_read_less_leaves_what_comes_to_the_next)
{
	struct bed b;

	init(&b, "good", "echo second", 1 << 30);
	bed_up(&b);
	cr_assert_eq(pool_set_sandbox(b.pool, wide, false), 0);
	bed_turn(&b);
	cr_expect_eq(b.pool->n_processes, 1);
	widen(&b);
	cr_expect_null(bed_worker(&b, OLD)->loading);
	cr_expect_eq(pool_model_hopeful(b.pm[THIRD]), 1);
	bed_wait(&b, is_done(&b, OLD, NEW) && pool_model_ready(b.pm[THIRD]) == 1);
	cr_expect(worker_holds(bed_worker(&b, NEW), b.pm[THIRD]));
	cr_expect_eq(pool_model_ready(b.pm[1]), 1);
	cr_expect_eq(b.pool->n_processes, 2);
	cr_expect_eq(n_told, 0);
	/* Where there is nothing more, nothing happens; and the other place has its turn. */
	cr_assert_eq(pool_set_sandbox(b.pool, wide, false), 0);
	cr_assert_eq(pool_set_sandbox(b.pool, wide, true), 0);
	bed_wait(&b, is_done(&b, NEW, OLD));
	cr_expect_eq(b.pool->n_processes, 3);
	bed_drain_end(&b);
}

Test(recycle, all_that_may_read_less_are_replaced)
{
	struct bed b;

	init(&b, "good", "echo second", 1 << 30);
	b.places[0].count = 2;
	bed_up(&b);
	widen(&b);
	bed_wait(&b, b.pool->n_processes == 4 && pool_model_ready(b.pm[THIRD]) == 2 &&
			     pool_model_ready(b.pm[0]) == 2);
	cr_expect_eq(pool_model_failed(b.pm[THIRD]), 0);
	bed_drain_end(&b);
}

Test(recycle, one_that_cannot_be_replaced_by_who_may_read_more)
{
	struct bed b;
	struct worker *old;

	init(&b, "good,exit77,good", "echo second", 1 << 30);
	bed_up(&b);
	old = bed_worker(&b, OLD);
	widen(&b);
	/* It loads what was left to the other one, as far as it can. */
	bed_wait(&b, worker_holds(old, b.pm[THIRD]));
	cr_expect_eq(b.pool->n_processes, 2);
	cr_expect_eq(n_told, 1);
	cr_expect(worker_rests(bed_worker(&b, NEW)));
	cr_assert_eq(pool_set_sandbox(b.pool, wide, true), 0);
	bed_wait(&b, is_done(&b, OLD, NEW));
	bed_drain_end(&b);
}

Test(recycle, state_of_a_model_outweighs_what_others_may_read)
{
	struct bed b;

	init(&b, "good", "echo second", 1 << 30);
	b.models[0].keeps_state = true;
	bed_up(&b);
	widen(&b);
	cr_expect_eq(n_told, 1);
	bed_wait(&b, worker_holds(bed_worker(&b, OLD), b.pm[THIRD]));
	cr_expect_eq(b.pool->n_processes, 1);
	bed_drain_end(&b);
}

Test(recycle, where_it_is_off_what_others_may_read_is_said)
{
	struct bed b;

	init(&b, "good", "echo second", 0);
	bed_up(&b);
	widen(&b);
	cr_expect_eq(n_told, 1);
	bed_wait(&b, worker_holds(bed_worker(&b, OLD), b.pm[THIRD]));
	bed_drain_end(&b);
}

static int set_sandbox(void *pool)
{
	return pool_set_sandbox(pool, wide, false);
}

Test(recycle, memory_for_what_they_are_told)
{
	struct bed b;

	init(&b, "good", "echo", 0);
	bed_up(&b);
	FAULT_LOOP_KINDS(set_sandbox, b.pool, FAIL_ALLOCATIONS);
	bed_drain_end(&b);
}
