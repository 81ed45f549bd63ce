/* pool_test.c: places, restarts, breakers, start and end, and the fault loop. */
#include "pool/pool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "fake_worker.h"
#include "pool/pool_private.h"
#include "tests/support/failalloc.h"

Test(pool, settings_out_of_range)
{
	struct bed b;
	struct pool *p = NULL;

	bed_init(&b, "good", "echo");
#define REFUSED(field, value)                                                                      \
	do {                                                                                       \
		struct pool_settings s = b.settings;                                               \
		s.field = value;                                                                   \
		cr_assert_eq(pool_new(&p, &b.loop, &s, &bed_events, &b), -EINVAL, #field);         \
	} while (0)
	REFUSED(slots, 0);
	REFUSED(slots, 100000);
	REFUSED(output_arena_bytes, 0);
	REFUSED(output_segment_bytes, 0);
	REFUSED(breaker_crashes, 0);
	REFUSED(start_timeout_ms, 0);
	REFUSED(drain_timeout_ms, UINT64_MAX);
	REFUSED(heartbeat_interval_ms, 0);
	REFUSED(heartbeat_timeout_ms, 0);
	b.places[0].count = 1000000;
	REFUSED(slots, 1);
	b.places[0].count = 1;
	cr_assert_null(p);
	/* Freed before it was started. */
	cr_assert_eq(bed_make(&b), 0);
	bed_free(&b);
}

/* Nothing else happens there that would say that start-up is over. */
Test(pool, is_up_without_models)
{
	struct bed b;

	bed_init(&b, "good", "");
	b.settings.heartbeat_interval_ms = b.settings.heartbeat_timeout_ms = 3600000;
	bed_up(&b);
	bed_drain_end(&b);
}

Test(pool, program_cannot_be_executed)
{
	static const struct {
		const char *path;
		int error;
	} programs[] = {{"/nowhere/worker", -ENOENT}, {"/etc/passwd", -EACCES}, {"/tmp", -EACCES}};

	for (size_t i = 0; i < 3; i++) {
		struct bed b;
		unsigned fds;

		bed_init(&b, "good", "echo");
		fds = failalloc_open_fds();
		b.settings.worker_program = programs[i].path;
		cr_assert_eq(bed_make(&b), 0);
		cr_assert_eq(pool_start(b.pool), programs[i].error);
		cr_assert(strstr(worker_last_exit(bed_worker(&b, 0)), "cannot be started"));
		cr_assert_eq(failalloc_settled_fds(fds), fds);
		bed_free(&b);
	}
}

Test(pool, killed_while_it_starts)
{
	struct bed b;

	bed_init(&b, "exit78", "echo");
	bed_start(&b);
	bed_end(&b);
}

Test(pool, no_workers_at_all)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.settings.n_places = 0;
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 0);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 0);
	cr_assert(strstr(pool_model_detail(b.pm[0]), "no worker"));
	bed_drain_end(&b);
}

Test(pool, places_and_devices)
{
	struct bed b;

	bed_init(&b, "good", "echo error");
	b.places[0].count = 2;
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	b.models[1].devices = "cpu:3, cpu:1";
	bed_up(&b);
	cr_assert_eq(pool_n_workers(b.pool), 3);
	cr_assert_str_eq(worker_name(bed_worker(&b, 1)), "cpu:0/1");
	cr_assert_str_eq(worker_name(bed_worker(&b, 2)), "cpu:1/0");
	cr_assert_str_eq(worker_device(bed_worker(&b, 2)), "cpu:1");
	cr_assert_eq(pool_model_ready(b.pm[0]), 3);
	cr_assert_eq(pool_model_ready(b.pm[1]), 1);
	cr_assert_not(worker_holds(bed_worker(&b, 0), b.pm[1]));
	cr_assert(worker_holds(bed_worker(&b, 2), b.pm[1]));
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), WORKER_E_BUSY);
	cr_assert_eq(b.n_started, 1);
	bed_drain_end(&b);
}

Test(pool, model_that_does_not_load_hurts_no_other)
{
	struct bed b;

	bed_init(&b, "good", "noload echo");
	bed_up(&b);
	cr_assert_eq(worker_get_state(bed_worker(&b, 0)), WORKER_READY);
	cr_assert_eq(pool_model_ready(b.pm[0]), 0);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 0);
	cr_assert_str_eq(pool_model_detail(b.pm[0]), "load failed on cpu:0: no such thing");
	cr_assert_null(pool_model_loaded(b.pm[0]));
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), WORKER_E_BUSY);
	cr_assert_eq(bed_run(&b, 0, 1, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_assert_gt(b.n_model, 0);
	bed_drain_end(&b);
}

Test(pool, what_failed_to_load_is_tried_again)
{
	struct bed b;

	bed_init(&b, "good", "noload echo");
	bed_up(&b);
	cr_assert_eq(pool_model_failed(b.pm[0]), 1);
	cr_assert_eq(pool_model_failed(b.pm[1]), 0);
	pool_model_retry(b.pm[1]);
	cr_assert_eq(b.pm[1]->holdings[0].state, HOLDING_LOADED);
	pool_model_retry(b.pm[0]);
	cr_assert_eq(pool_model_failed(b.pm[0]), 0);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_assert_eq(b.pm[0]->holdings[0].state, HOLDING_LOADING);
	bed_wait(&b, pool_model_failed(b.pm[0]) == 1);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 0);
	bed_drain_end(&b);
}

Test(pool, declaration_must_stay_the_same)
{
	struct bed b;

	bed_init(&b, "good,other-declaration", "echo");
	bed_up(&b);
	kill(worker_pid(bed_worker(&b, 0)), SIGKILL);
	bed_wait(&b, worker_generation(bed_worker(&b, 0)) == 2 &&
			     worker_get_state(bed_worker(&b, 0)) == WORKER_READY);
	cr_assert_eq(pool_model_ready(b.pm[0]), 0);
	cr_assert(strstr(pool_model_detail(b.pm[0]), "other inputs or outputs"));
	cr_assert_str_eq(pool_model_loaded(b.pm[0])->inputs[0].name, "x");
	bed_drain_end(&b);
}

/* Whatever the reason, there is one, in each state that a worker passes. */
Test(pool, a_model_that_is_not_ready_says_why)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo");
	cr_assert_eq(bed_make(&b), 0);
	w = bed_worker(&b, 0);
	cr_expect_str_eq(pool_model_detail(b.pm[0]), "worker cpu:0/0 is restarted");
	b.inside = true;
	cr_assert_eq(pool_start(b.pool), 0);
	b.inside = false;
	cr_expect_str_eq(pool_model_detail(b.pm[0]), "worker cpu:0/0 starts");
	bed_wait(&b, worker_get_state(w) >= WORKER_LOADING);
	cr_expect(pool_model_ready(b.pm[0]) > 0 || *pool_model_detail(b.pm[0]));
	bed_wait(&b, b.n_started == 1);
	cr_expect_str_eq(pool_model_detail(b.pm[0]), "");
	b.settings.backoff_max_ms = 60000;
	w->failures = 5;
	w->up_since_ns = clock_ns();
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, worker_get_state(w) == WORKER_REAPED);
	cr_expect_str_eq(
		pool_model_detail(b.pm[0]), "worker cpu:0/0 is restarted after: signal 9 (Killed)");
	bed_end(&b);
}

/* --- Restarts --------------------------------------------------------------------------------- */

Test(pool, hopeless_after_three_starts_but_still_tried)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "exit78,exit78,exit78,exit78,good", "echo");
	bed_start(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 1);
	bed_wait(&b, w->failed_starts == 3);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 0);
	cr_assert_str_eq(pool_model_detail(b.pm[0]),
		"worker cpu:0/0 failed to start 3 times: exit status 78");
	cr_assert_eq(b.n_started, 1);
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	cr_assert_eq(pool_model_hopeful(b.pm[0]), 1);
	cr_assert_eq(worker_restarts(w), 4);
	cr_assert_eq(w->failed_starts, 0);
	bed_drain_end(&b);
}

/* It is to be restarted so long, give or take a fifth, after it has ended, which it did since then. */
static void expect_back_off(const struct worker *w, uint64_t since_ns, uint64_t delay_ns)
{
	cr_assert_geq(worker_restart_at_ns(w), since_ns + delay_ns / 5 * 4);
	cr_assert_leq(worker_restart_at_ns(w), clock_ns() + delay_ns / 5 * 6);
}

Test(pool, back_off_doubles)
{
	struct bed b;
	struct worker *w;
	uint64_t since_ns;

	bed_init(&b, "exit78", "echo");
	b.settings.backoff_max_ms = 60000;
	since_ns = clock_ns();
	bed_start(&b);
	w = bed_worker(&b, 0);
	/* The first restart is at once, the second after a second. */
	bed_wait(&b, w->failures == 2);
	expect_back_off(w, since_ns, NS_PER_S);
	for (uint32_t n = 3; n < 12; n++) {
		uint64_t want_ns = NS_PER_S << (n - 2);

		w->restart_at_ns = since_ns = clock_ns();
		pool_soon(b.pool);
		bed_wait(&b, w->failures == n);
		want_ns = want_ns > 60 * NS_PER_S ? 60 * NS_PER_S : want_ns;
		expect_back_off(w, since_ns, want_ns);
		cr_assert_leq(worker_restart_at_ns(w), clock_ns() + 60 * NS_PER_S);
	}
	cr_assert_eq(worker_pid(w), 0);
	cr_assert_eq(worker_get_state(w), WORKER_REAPED);
	bed_drain_end(&b);
}

/* Who kills it has others wait for a start, not for a back-off. */
Test(pool, one_that_was_ready_is_followed_at_once_a_few_times)
{
	struct bed b;
	struct worker *w;
	uint64_t since_ns;

	bed_init(&b, "good", "echo");
	b.settings.backoff_max_ms = 60000;
	bed_up(&b);
	w = bed_worker(&b, 0);
	for (uint32_t n = 1; n <= 4; n++) {
		kill(worker_pid(w), SIGKILL);
		bed_wait(&b, worker_generation(w) == n + 1 && worker_get_state(w) == WORKER_READY);
		/* Though that took long. */
		w->up_since_ns = clock_ns();
		cr_assert_eq(w->failures, n);
	}
	since_ns = clock_ns();
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, w->failures == 5);
	expect_back_off(w, since_ns, NS_PER_S);
	bed_drain_end(&b);
}

Test(pool, health_resets_the_back_off)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "exit78,exit78,exit78,good", "echo");
	bed_start(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	cr_assert_eq(w->failures, 3);
	for (size_t i = 1; i <= 256; i++) {
		cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
		bed_wait(&b, b.n_events == i);
		pool_flush(b.pool);
	}
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, worker_generation(w) == 5);
	cr_assert_eq(w->failures, 1);
	bed_drain_end(&b);
}

Test(pool, a_burst_of_short_batches_is_one_record)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.settings.slots = 9;
	bed_up(&b);
	/* What it maps is sent alone. */
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	failalloc_arm(FAIL_SYSCALLS, FAIL_TRANSIENT, 0);
	for (intptr_t i = 2; i <= 5; i++)
		cr_assert_eq(bed_run(&b, 0, 0, i, 10), 0);
	cr_expect(pool_waits_for_more(b.pool), "after a poll");
	cr_expect(pool_waits_for_more(b.pool), "before the next one");
	for (intptr_t i = 6; i <= 9; i++)
		cr_assert_eq(bed_run(&b, 0, 0, i, 10), 0);
	cr_expect_not(pool_waits_for_more(b.pool));
	cr_expect_eq(failalloc_count(), 0);
	pool_flush(b.pool);
	cr_expect_eq(failalloc_count(), 1);
	cr_expect_not(pool_waits_for_more(b.pool));
	failalloc_disarm();
	bed_wait(&b, b.n_events == 9);
	bed_drain_end(&b);
}

Test(pool, a_cancelled_batch_ends_the_wait)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.settings.slots = 9;
	bed_up(&b);
	for (intptr_t i = 1; i <= 5; i++)
		cr_assert_eq(bed_run(&b, 0, 0, i, 10), 0);
	cr_expect(pool_waits_for_more(b.pool));
	worker_cancel(bed_worker(&b, 0), (const void *)2);
	cr_expect_not(pool_waits_for_more(b.pool));
	bed_wait(&b, b.n_events == 5);
	bed_drain_end(&b);
}

/* --- Faults ----------------------------------------------------------------------------------- */

/* From nothing to a batch that came back and an orderly end, whatever fails on the way. The scene
 * is made unharmed; the pool lives in it under faults. */
static int live_once(void *arg)
{
	struct bed *b = arg;
	uint64_t n_events = b->n_events;
	bool answered;

	b->n_started = b->n_drained = 0;
	if (bed_make(b)) {
		bed_free_pool(b);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		return -1;
	}
	if (!pool_start(b->pool)) {
		bed_wait(b, b->n_started == 1);
		while (worker_get_state(bed_worker(b, 0)) != WORKER_READY && !failalloc_failed())
			uv_run(&b->loop, UV_RUN_ONCE);
		if (!bed_run(b, 0, 0, 1, 100))
			bed_wait(b, b->n_events > n_events);
		pool_flush(b->pool);
	}
	answered = b->n_events > n_events && b->events[n_events % BED_EVENTS].what == 'd';
	/* What is lost under way is handed back before the end. */
	pool_kill(b->pool);
	bed_wait(b, b->n_drained == 1);
	bed_free_pool(b);
	uv_run(&b->loop, UV_RUN_NOWAIT);
	return answered ? 0 : -1;
}

Test(pool, survives_faults)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.settings.start_timeout_ms = 5000;
	FAULT_LOOP(live_once, &b);
	cr_assert_eq(bed_make(&b), 0);
	bed_free(&b);
}
