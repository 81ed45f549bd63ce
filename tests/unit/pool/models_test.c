/* models_test.c: models that come and go while workers run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

Test(models, one_comes_while_workers_run)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.places[0].count = 2;
	bed_up(&b);
	bed_add_named(&b, "second");
	cr_expect_eq(pool_model_id(b.pm[1]), 1);
	cr_expect_eq(pool_model_hopeful(b.pm[1]), 2);
	cr_expect_eq(pool_model_ready(b.pm[1]), 0);
	bed_wait(&b, pool_model_ready(b.pm[1]) == 2);
	cr_expect_eq(bed_run(&b, 1, 1, 7, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'd');
	cr_expect_eq(worker_restarts(bed_worker(&b, 0)), 0);
	bed_drain_end(&b);
}

/* As each process says when it has loaded it. */
Test(models, what_they_take)
{
	struct bed b;
	uint64_t each;

	bed_init(&b, "good", "echo");
	b.places[0].count = 2;
	bed_up(&b);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 2);
	each = pool_model_loaded(b.pm[0])->memory_bytes;
	cr_assert_gt(each, 0);
	cr_expect_eq(pool_model_memory(b.pm[0], NULL), 2 * each);
	cr_expect_eq(pool_model_memory(b.pm[0], "cpu:0"), 2 * each);
	cr_expect_eq(pool_model_memory(b.pm[0], "cuda:0"), 0);
	bed_drain_end(&b);
}

static void expect_places(struct bed *b, size_t model, const char *expected)
{
	struct pool_placement p;
	char text[256] = "";

	for (size_t i = 0; pool_model_placement(b->pm[model], &i, &p);) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s%s %s %" PRIu32, n ? ", " : "",
			worker_name(p.worker), p.state, p.instances);
	}
	cr_expect_str_eq(text, expected);
}

Test(models, where_they_are)
{
	struct bed b;

	bed_init(&b, "good", "echo noload hold");
	b.models[0].instances = 2;
	b.models[1].devices = "cpu:1";
	b.models[2].devices = "cpu:0 x3, cpu:1";
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	bed_start(&b);
	expect_places(&b, 0, "cpu:0/0 due 0, cpu:1/0 due 0");
	expect_places(&b, 1, "cpu:1/0 due 0");
	bed_wait(&b, b.n_started == 1);
	expect_places(&b, 0, "cpu:0/0 ready 2, cpu:1/0 ready 2");
	expect_places(&b, 1, "cpu:1/0 failed 0");
	expect_places(&b, 2, "cpu:0/0 ready 3, cpu:1/0 ready 1");
	bed_add_named(&b, "hangload");
	bed_add_named(&b, "late");
	expect_places(&b, 3, "cpu:0/0 loading 0, cpu:1/0 loading 0");
	expect_places(&b, 4, "cpu:0/0 due 0, cpu:1/0 due 0");
	/* It leaves behind its batches, at once where it has none. */
	cr_assert_eq(bed_run(&b, 0, 2, 1, 10), 0);
	bed_retire(&b, 2);
	expect_places(&b, 2, "cpu:0/0 unloading 3, cpu:1/0 unloading 1");
	worker_lose(bed_worker(&b, 1), WORKER_MISBEHAVED, "told so");
	expect_places(&b, 0, "cpu:0/0 ready 2, cpu:1/0 lost 2");
	bed_end(&b);
}

Test(models, one_comes_before_workers_are_up)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_start(&b);
	bed_add_named(&b, "second");
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	bed_drain_end(&b);
}

Test(models, one_goes)
{
	struct bed b;
	uint32_t told;

	bed_init(&b, "good", "echo second");
	bed_up(&b);
	bed_retire(&b, 1);
	told = b.n_model;
	cr_expect_eq(pool_model_ready(b.pm[1]), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[1]), 0);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_null(b.pm[1]);
	cr_expect_eq(b.n_model, told, "a retired one is no news");
	cr_expect_eq(b.pool->n_models, 1);
	/* Its number is not used again. */
	bed_add_named(&b, "third");
	cr_expect_eq(pool_model_id(b.pm[2]), 2);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 1);
	bed_drain_end(&b);
}

Test(models, one_goes_behind_its_batches)
{
	struct bed b;

	bed_init(&b, "good", "hold echo");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_retire(&b, 0);
	cr_expect_eq(bed_run(&b, 0, 0, 2, 10), WORKER_E_BUSY);
	cr_expect_eq(b.pm[0]->holdings[0].state, HOLDING_LEAVING);
	/* Which lets the other go. */
	cr_assert_eq(bed_run(&b, 0, 1, 3, 10), 0);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_geq(b.n_events, 1);
	cr_expect_eq(b.events[0].tag, 1);
	cr_expect_eq(b.events[0].what, 'd');
	bed_drain_end(&b);
}

Test(models, one_goes_with_its_process)
{
	struct bed b;

	bed_init(&b, "good", "hold echo");
	bed_up(&b);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	pool_flush(b.pool);
	bed_retire(&b, 0);
	kill(worker_pid(bed_worker(&b, 0)), SIGKILL);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(b.n_events, 1, "its batch came back before");
	cr_expect_eq(b.events[0].what, 's');
	bed_wait(&b, pool_model_ready(b.pm[1]) == 1);
	bed_drain_end(&b);
}

Test(models, one_goes_while_it_is_being_loaded)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	bed_add_named(&b, "second");
	cr_expect_eq(b.pm[1]->holdings[0].state, HOLDING_LOADING);
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect_eq(worker_restarts(bed_worker(&b, 0)), 0);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	bed_drain_end(&b);
}

Test(models, one_that_failed_goes_at_once)
{
	struct bed b;

	bed_init(&b, "good", "echo noload");
	bed_up(&b);
	bed_retire(&b, 1);
	cr_expect_not_null(b.pm[1], "not from inside the call");
	bed_wait(&b, b.n_models_gone == 1);
	bed_drain_end(&b);
}

Test(models, one_that_was_never_loaded_goes)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.settings.n_places = 0;
	bed_up(&b);
	bed_add_named(&b, "second");
	bed_retire(&b, 1);
	bed_wait(&b, b.n_models_gone == 1);
	bed_drain_end(&b);
}

Test(models, unloaded_that_was_not_asked_for)
{
	struct bed b;

	bed_init(&b, "w-unloaded,good", "echo second third");
	bed_up(&b);
	bed_retire(&b, 1);
	bed_wait(&b, worker_restarts(bed_worker(&b, 0)) == 1);
	cr_expect(strstr(worker_last_exit(bed_worker(&b, 0)), "unloaded: model 2 was not"));
	bed_wait(&b, b.n_models_gone == 1);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 1);
	bed_drain_end(&b);
}

Test(models, numbers_run_out)
{
	struct bed b;
	struct pool_model *m;

	bed_init(&b, "good", "echo");
	bed_up(&b);
	b.pool->next_model = UINT64_C(1) << 32;
	cr_expect_eq(pool_model_new(&m, b.pool, &b.models[0], NULL), -EOVERFLOW);
	b.models[0].run_timeout_ms = UINT64_MAX;
	b.pool->next_model = 5;
	cr_expect_eq(pool_model_new(&m, b.pool, &b.models[0], NULL), -EINVAL);
	bed_drain_end(&b);
}

/* --- While others are loaded --------------------------------------------------------------------- */

Test(models, what_is_loaded_serves_while_others_load)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "echo hold longload third");
	bed_start(&b);
	w = bed_worker(&b, 0);
	bed_wait(&b, b.pm[2]->holdings[0].state == HOLDING_LOADING);
	cr_expect_eq(worker_get_state(w), WORKER_LOADING);
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	cr_expect_eq(worker_free_slots(w), 2);
	cr_expect(worker_is_loading(w));
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.events[0].what, 'd');
	cr_expect_geq(b.n_credit, 1);
	cr_expect_eq(bed_run(&b, 0, 3, 1, 10), WORKER_E_BUSY);
	cr_expect_eq(b.n_started, 0, "start-up is not over");
	/* One that waits to be loaded may go. */
	bed_retire(&b, 3);
	bed_wait(&b, b.n_models_gone == 1);
	cr_expect(list_empty(&w->to_load));
	/* It ends while both go on. */
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(b.events[1].what, 'b');
	bed_wait(&b, pool_breaker(b.pm[2], 0)->state == BREAKER_TRIAL);
	cr_expect_eq(pool_breaker(b.pm[2], 0)->crashes, 0, "nobody knows which it was");
	bed_end(&b);
}

Test(models, the_most_used_is_loaded_first)
{
	struct bed b;
	struct worker *w;
	struct list *at;

	bed_init(&b, "good", "echo a b c");
	bed_up(&b);
	w = bed_worker(&b, 0);
	for (uint32_t i = 0; i < 5; i++) {
		cr_assert_eq(bed_run(&b, 0, i < 2 ? 1 : 3, i, 10), 0);
		bed_wait(&b, b.n_events == i + 1);
	}
	kill(worker_pid(w), SIGKILL);
	bed_wait(&b, worker_generation(w) == 2);
	at = w->to_load.next;
	for (const size_t *i = (const size_t[]){3, 1, 0, 2, 9}; *i < 9; i++, at = at->next)
		cr_expect_eq(list_entry(at, struct holding, load_node)->model, b.pm[*i]);
	bed_wait(&b, worker_get_state(w) == WORKER_READY);
	bed_drain_end(&b);
}

/* Of a device that serves, one worker loads, and the other goes on. */
Test(models, one_worker_of_a_device_loads_at_a_time)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.places[0].count = 2;
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.settings.n_places = 2;
	bed_up(&b);
	bed_add_named(&b, "hangload");
	cr_expect_eq(b.pm[1]->holdings[0].state, HOLDING_LOADING);
	cr_expect_eq(b.pm[1]->holdings[1].state, HOLDING_NONE);
	cr_expect_eq(b.pm[1]->holdings[2].state, HOLDING_LOADING, "another device");
	cr_assert_eq(bed_run(&b, 1, 0, 1, 10), 0);
	bed_wait(&b, b.n_events == 1);
	cr_expect_eq(b.pm[1]->holdings[1].state, HOLDING_NONE);
	/* The one that loads is gone: it is the other's turn. */
	kill(worker_pid(bed_worker(&b, 2)), SIGKILL);
	bed_retire(&b, 1);
	bed_add_named(&b, "third");
	cr_expect_eq(b.pm[2]->holdings[1].state, HOLDING_NONE);
	kill(worker_pid(bed_worker(&b, 0)), SIGKILL);
	bed_wait(&b, b.pm[2]->holdings[1].state == HOLDING_LOADED);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 3);
	bed_drain_end(&b);
}

/* While none of a device serves there is none to spare: all of them load. */
Test(models, at_a_start_all_workers_of_a_device_load_at_once)
{
	struct bed b;

	bed_init(&b, "good", "echo hangload");
	b.places[0].count = 3;
	bed_start(&b);
	for (size_t i = 0; i < 3; i++)
		bed_wait(&b, b.pm[1]->holdings[i].state == HOLDING_LOADING);
	for (size_t i = 0; i < 3; i++) {
		cr_expect_eq(b.pm[0]->holdings[i].state, HOLDING_LOADED);
		cr_expect_eq(b.pm[1]->holdings[i].state, HOLDING_LOADING);
		cr_expect_eq(worker_get_state(bed_worker(&b, i)), WORKER_LOADING);
	}
	bed_end(&b);
}

/* Nothing is loaded beside a batch that runs alone: should the process end, one of them did it. */
Test(models, nothing_is_loaded_beside_a_suspect)
{
	struct bed b;
	struct worker *w;

	bed_init(&b, "good", "hold echo");
	b.settings.slots = 4;
	bed_up(&b);
	w = bed_worker(&b, 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	w->alone = true;
	bed_add_named(&b, "late");
	cr_expect_eq(b.pm[2]->holdings[0].state, HOLDING_NONE);
	cr_assert_eq(bed_run(&b, 0, 1, 2, 10), 0);
	cr_expect_eq(b.pm[2]->holdings[0].state, HOLDING_NONE);
	bed_wait(&b, b.n_events == 2);
	bed_wait(&b, pool_model_ready(b.pm[2]) == 1);
	bed_drain_end(&b);
}

/* Counted: processes made in a turn of the loop, when all are lost at once. */
Test(models, one_process_a_turn_is_made)
{
	struct bed b;
	uint64_t before;

	bed_init(&b, "good", "echo");
	b.places[0].count = 4;
	bed_up(&b);
	for (size_t i = 0; i < 4; i++)
		kill(worker_pid(bed_worker(&b, i)), SIGKILL);
	while (b.pool->n_processes < 8) {
		before = b.pool->n_processes;
		pool_flush(b.pool);
		/* Unlike UV_RUN_ONCE, this looks at timers once. */
		uv_run(&b.loop, UV_RUN_NOWAIT);
		cr_assert_leq(b.pool->n_processes - before, 1);
	}
	bed_wait(&b, pool_model_ready(b.pm[0]) == 4);
	bed_drain_end(&b);
}

Test(models, busy_is_who_has_no_lane_free)
{
	struct bed b;
	uint64_t now_ns = clock_ns() + 5 * NS_PER_S;

	bed_init(&b, "good", "hold echo");
	b.models[0].instances = 2;
	b.settings.slots = 8;
	bed_up(&b);
	cr_expect_eq(pool_model_busy_ns(b.pm[0], now_ns), 0);
	cr_assert_eq(bed_run(&b, 0, 0, 1, 10), 0);
	cr_expect_eq(pool_model_busy_ns(b.pm[0], now_ns), 0, "one lane is free");
	cr_assert_eq(bed_run(&b, 0, 0, 2, 10), 0);
	cr_expect_gt(pool_model_busy_ns(b.pm[0], now_ns), 4 * NS_PER_S);
	cr_expect_eq(pool_model_busy_ns(b.pm[1], now_ns), 0);
	kill(worker_pid(bed_worker(&b, 0)), SIGKILL);
	bed_wait(&b, b.n_events == 2);
	cr_expect_eq(pool_model_busy_ns(b.pm[0], now_ns), 0, "no worker has it");
	bed_end(&b);
}

/* Too large for cpu:0 at first. */
static void make_large(struct bed *b, const char *fallback)
{
	bed_init(b, "good", "large");
	b->settings.n_places = 2;
	b->places[1] = (struct pool_place){"cpu:1", 1};
	b->models[0].devices = "cpu:0";
	b->models[0].fallback = fallback;
	bed_up(b);
}

Test(models, one_that_fits_nowhere_stays_away)
{
	struct bed b;

	make_large(&b, NULL);
	cr_expect_eq(pool_model_ready(b.pm[0]), 0);
	cr_expect_eq(pool_model_hopeful(b.pm[0]), 0);
	cr_expect(strstr(pool_model_detail(b.pm[0]), "it does not fit"));
	bed_drain_end(&b);
}

Test(models, one_that_fits_nowhere_falls_back_where_it_may)
{
	struct bed b;

	make_large(&b, "cpu:1");
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	cr_expect(worker_holds(bed_worker(&b, 1), b.pm[0]));
	cr_expect(strstr(pool_model_detail(b.pm[0]), "it does not fit"), "why stays said");
	cr_assert_eq(bed_run(&b, 1, 0, 1, 10), 0);
	/* Where it fits after all it goes back. */
	pool_model_retry(b.pm[0]);
	bed_wait(&b, worker_holds(bed_worker(&b, 0), b.pm[0]));
	bed_wait(&b, b.pm[0]->n_held == 1);
	cr_expect_not(worker_holds(bed_worker(&b, 1), b.pm[0]));
	cr_expect_str_eq(pool_model_detail(b.pm[0]), "");
	cr_expect_eq(pool_model_ready(b.pm[0]), 1);
	bed_drain_end(&b);
}

Test(models, one_whose_devices_are_not_there_falls_back)
{
	struct bed b;

	bed_init(&b, "good", "echo");
	b.models[0].devices = "cuda:0";
	b.models[0].fallback = "cpu:0";
	bed_up(&b);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	bed_drain_end(&b);
}

Test(models, one_that_falls_back_in_processes_of_its_own)
{
	struct bed b;

	bed_init(&b, "good", "large");
	b.settings.n_places = 2;
	b.settings.max_model_workers = 2;
	b.places[1] = (struct pool_place){"cpu:1", 1};
	b.models[0].devices = "cpu:0";
	b.models[0].fallback = "cpu:1";
	b.models[0].isolation = ISOLATION_MODEL;
	bed_up(&b);
	bed_wait(&b, pool_model_ready(b.pm[0]) == 1);
	bed_drain_end(&b);
}

static void begin_near(struct bed *b, const char *behaviour)
{
	bed_init(b, behaviour, "all near0 near1 host");
	b->places[0] = (struct pool_place){"cuda:0", 1};
	b->places[1] = (struct pool_place){"cuda:1", 2};
	b->places[2] = (struct pool_place){"cpu:0", 1};
	b->settings.n_places = 3;
	b->models[1].devices = "cuda:0";
	b->models[2].devices = "cuda:1";
	b->models[3].devices = "cuda:1, cpu:0";
	bed_start(b);
}

/* Each on every worker that it is for. */
static bool are_near(const struct bed *b)
{
	return pool_model_ready(b->pm[0]) == 4 && pool_model_ready(b->pm[1]) == 1 &&
	       pool_model_ready(b->pm[2]) == 2 && pool_model_ready(b->pm[3]) == 3;
}

Test(models, what_lives_near_one_node_is_near_it)
{
	struct bed b;

	begin_near(&b, "near");
	cr_expect_not(pool_has_numa(b.pool), "nobody has said anything yet");
	cr_expect_eq(pool_model_numa_node(b.pm[1]), 0);
	bed_wait(&b, are_near(&b));
	cr_expect(pool_has_numa(b.pool));
	cr_expect_eq(pool_model_numa_node(b.pm[0]), 0, "of both nodes, and the host");
	cr_expect_eq(pool_model_numa_node(b.pm[1]), 1);
	cr_expect_eq(pool_model_numa_node(b.pm[2]), 2);
	cr_expect_eq(pool_model_numa_node(b.pm[3]), 0, "processors are near all");
	worker_lose(bed_worker(&b, 0), WORKER_MISBEHAVED, "told so");
	cr_expect_eq(pool_model_numa_node(b.pm[1]), 0, "it is nowhere");
	bed_end(&b);
}

Test(models, a_host_of_one_node_has_none)
{
	struct bed b;

	begin_near(&b, "good");
	bed_wait(&b, are_near(&b));
	cr_expect_not(pool_has_numa(b.pool));
	cr_expect_eq(pool_model_numa_node(b.pm[1]), 0);
	bed_end(&b);
}
