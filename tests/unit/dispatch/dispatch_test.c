/* Tests of dispatch.c: start, drain, kill, timers, events, and the fault loop over all of it. */
#include "dispatch/dispatch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"
#include "tests/support/failalloc.h"

static struct bed bed;
static struct answer answers[8];

static void setup(void)
{
	bed_init(&bed);
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(dispatch, .init = setup, .fini = teardown);
/* Each begins with bed_init() and bed_open(). */
TestSuite(dispatch_own, .fini = teardown);
/* Without anything set up. */
TestSuite(dispatch_bare);

static void submit(struct version *m, struct answer *a)
{
	request_unref(bed_submit(&bed, m, a));
}

Test(dispatch_bare, two_models_of_one_name_are_refused)
{
	struct dispatch *d = NULL;
	static const struct dispatch_events none;

	bed_init(&bed);
	bed.models[2].name = "alpha";
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	cr_expect_eq(dispatch_new(&d, &bed.loop, &bed.settings, bed.models, 3, &bed.pool_settings,
			     &none, NULL),
		-EINVAL);
	cr_expect_null(d);
	cr_expect_null(dispatch_free(NULL));
	cr_expect_eq(uv_loop_close(&bed.loop), 0);
}

Test(dispatch_bare, without_models)
{
	struct dispatch *d = NULL;
	static const struct dispatch_events none;

	bed_init(&bed);
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	cr_assert_eq(dispatch_new(&d, &bed.loop, &bed.settings, NULL, 0, &bed.pool_settings, &none,
			     NULL),
		0);
	cr_expect_eq(dispatch_n_versions(d), 0);
	cr_expect_null(dispatch_find_version(d, "", 0));
	dispatch_free(d);
	cr_expect_eq(uv_run(&bed.loop, UV_RUN_DEFAULT), 0);
	cr_expect_eq(uv_loop_close(&bed.loop), 0);
}

Test(dispatch_bare, an_arena_without_size_is_refused)
{
	struct dispatch *d = NULL;
	static const struct dispatch_events none;

	bed_init(&bed);
	bed.settings.arena.limit = 0;
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
	cr_expect_eq(dispatch_new(&d, &bed.loop, &bed.settings, bed.models, 3, &bed.pool_settings,
			     &none, NULL),
		-EINVAL);
	cr_expect_eq(uv_loop_close(&bed.loop), 0);
}

Test(dispatch_bare, freed_before_start)
{
	bed_init(&bed);
	cr_assert_eq(bed_open(&bed), 0);
	client_unref(bed.client);
	cr_expect_null(dispatch_free(bed.d));
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&bed.loop), 0);
}

Test(dispatch_own, a_failed_start_is_told)
{
	bed_init(&bed);
	cr_assert_eq(bed_open(&bed), 0);
	bed.pool->start_error = -ENOENT;
	cr_expect_eq(dispatch_start(bed.d), -ENOENT);
}

/* --- Events ----------------------------------------------------------------------------------- */

Test(dispatch, start_up_is_announced)
{
	cr_expect_eq(bed.started, 1);
	cr_expect_eq(bed.version_events, 3);
}

Test(dispatch, readiness_is_announced_when_it_changes)
{
	struct worker *w = &bed.pool->workers[0];

	fake_set_ready(w, true);
	cr_expect_eq(bed.version_events, 3);
	fake_set_ready(w, false);
	cr_expect_eq(bed.version_events, 6);
	bed.pool->hopeless[0] = true;
	fake_set_ready(w, false);
	cr_expect_eq(bed.version_events, 6, "another reason, but as little ready");
	fake_set_ready(w, true);
	cr_expect_eq(bed.version_events, 9);
}

Test(dispatch, the_end_of_workers_is_no_news_at_the_end)
{
	dispatch_drain(bed.d);
	bed_turn(&bed);
	fake_set_ready(&bed.pool->workers[0], false);
	cr_expect_eq(bed.version_events, 3);
}

/* --- Scheduling ------------------------------------------------------------------------------- */

Test(dispatch, is_dirty_only_when_there_is_something)
{
	bed_turn(&bed);
	cr_expect_not(bed.d->dirty);
	cr_expect_not(uv_is_active((uv_handle_t *)&bed.d->idle));
	submit(bed.alpha, &answers[0]);
	cr_expect(bed.d->dirty);
	cr_expect(uv_is_active((uv_handle_t *)&bed.d->idle), "the loop may not sleep");
	bed_turn(&bed);
	cr_expect_not(bed.d->dirty);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_not(bed.d->dirty, "nobody waited for the slot");
}

Test(dispatch, does_not_flush_and_does_not_sleep_while_the_pool_waits_for_more)
{
	unsigned before = bed.pool->flushes;

	bed.pool->waits_for_more = true;
	bed_turn(&bed);
	bed_turn(&bed);
	cr_expect_eq(bed.pool->flushes, before);
	cr_expect(uv_is_active((uv_handle_t *)&bed.d->idle), "the loop may not sleep");
	bed.pool->waits_for_more = false;
	bed_turn(&bed);
	cr_expect_eq(bed.pool->flushes, before + 1);
	cr_expect_not(uv_is_active((uv_handle_t *)&bed.d->idle));
}

Test(dispatch, every_turn_flushes)
{
	unsigned before = bed.pool->flushes;

	bed_turn(&bed);
	bed_turn(&bed);
	cr_expect_eq(bed.pool->flushes, before + 2);
}

Test(dispatch_own, a_held_batch_is_sent_when_it_is_due)
{
	uint64_t start;

	bed_init(&bed);
	bed.models[0].max_queue_delay_us = 3000;
	bed_up(&bed);
	submit(bed.alpha, &answers[0]);
	submit(bed.alpha, &answers[1]);
	start = clock_ns();
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	cr_expect_neq(bed.d->alarm.at_ns, CLOCK_NO_DEADLINE);
	while (fake_n_runs(bed.pool, NULL) == 0) {
		uv_run(&bed.loop, UV_RUN_ONCE);
		bed_turn(&bed);
	}
	cr_expect(clock_ns() - start >= 2 * NS_PER_MS);
	cr_expect_eq(fake_first(bed.pool, NULL)->n_items, 2);
}

Test(dispatch_own, draining_does_not_wait_for_company)
{
	bed_init(&bed);
	bed.models[0].max_queue_delay_us = 10000000;
	bed_up(&bed);
	submit(bed.alpha, &answers[0]);
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 0);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_eq(fake_n_runs(bed.pool, NULL), 1);
}

Test(dispatch, deadlines_wake_the_loop)
{
	struct request *r;
	uint64_t deadline;

	/* The worker is busy with others' work and stays so. */
	for (int i = 0; i < 2; i++) {
		submit(bed.alpha, &answers[i]);
		bed_turn(&bed);
	}
	deadline = clock_ns() + 100 * NS_PER_MS;
	r = bed_request(&bed, bed.alpha, bed.client, 1, deadline, &answers[2]);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
	bed_wait(&bed, &answers[2]);
	cr_expect_eq(answers[2].status, GRPC_DEADLINE_EXCEEDED);
	cr_expect(clock_ns() >= deadline);
	cr_expect(clock_ns() < deadline + NS_PER_S);
	cr_expect_eq(client_requests(bed.client), 2);
}

Test(dispatch, an_earlier_deadline_replaces_the_timer)
{
	static const uint64_t ms[] = {3600000, 100, 1800000};

	for (int i = 0; i < 2; i++) {
		submit(bed.alpha, &answers[i]);
		bed_turn(&bed);
	}
	for (int i = 0; i < 3; i++) {
		struct request *r = bed_request(&bed, bed.beta, bed.client, 1,
			clock_ns() + ms[i] * NS_PER_MS, &answers[2 + i]);

		cr_assert_eq(dispatch_submit(bed.d, r), 0);
		request_unref(r);
		bed_turn(&bed);
	}
	bed_wait(&bed, &answers[3]);
	cr_expect_eq(answers[2].n, 0);
	cr_expect_eq(answers[4].n, 0);
}

Test(dispatch, counters_are_sums)
{
	struct version_counters c;

	submit(bed.alpha, &answers[0]);
	submit(bed.beta, &answers[1]);
	bed_turn(&bed);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	fake_done(bed.pool, fake_first(bed.pool, NULL), GRPC_INTERNAL);
	c = dispatch_counters(bed.d);
	cr_expect_eq(c.requests_ok, 1);
	cr_expect_eq(c.requests_failed, 1);
	cr_expect_eq(c.batches, 2);
	cr_expect(c.total_ns > 0);
}

/* --- Drain and kill --------------------------------------------------------------------------- */

Test(dispatch, drains_when_idle)
{
	dispatch_drain(bed.d);
	cr_expect_not(bed.pool->draining, "never from inside");
	bed_turn(&bed);
	cr_expect(bed.pool->draining);
	cr_expect_eq(bed.drained, 0);
	bed.pool->events->on_drained(bed.pool->data);
	cr_expect_eq(bed.drained, 1);
	dispatch_drain(bed.d);
	dispatch_kill(bed.d);
	cr_expect_not(bed.pool->killed, "it is over");
	bed_turn(&bed);
	cr_expect_eq(bed.drained, 1);
}

Test(dispatch, drain_finishes_what_is_queued_and_running)
{
	for (int i = 0; i < 3; i++)
		request_unref(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
	bed_turn(&bed);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_not(bed.pool->draining);
	for (int i = 0; i < 3; i++) {
		fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
		bed_turn(&bed);
	}
	for (int i = 0; i < 3; i++)
		cr_expect_eq(answers[i].status, GRPC_OK);
	cr_expect(bed.pool->draining);
}

Test(dispatch, drain_waits_for_cancelled_work_that_runs)
{
	struct request *r = bed_submit(&bed, bed.alpha, &answers[0]);

	bed_turn(&bed);
	request_cancel(r);
	request_unref(r);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_not(bed.pool->draining);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	bed_turn(&bed);
	cr_expect(bed.pool->draining);
}

Test(dispatch, drain_fails_what_waits_for_a_lost_worker)
{
	submit(bed.alpha, &answers[0]);
	bed_turn(&bed);
	fake_lose(&bed.pool->workers[0]);
	bed_turn(&bed);
	cr_expect_eq(answers[0].n, 0);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(answers[0].message, "modeld is shutting down");
	cr_expect(bed.pool->draining);
}

Test(dispatch, kill_answers_everything_at_once)
{
	for (int i = 0; i < 3; i++)
		request_unref(bed_submit_by(&bed, bed.alpha, bed.client, 8, &answers[i]));
	bed_turn(&bed);
	submit(bed.beta, &answers[3]);
	dispatch_kill(bed.d);
	for (int i = 0; i < 4; i++) {
		cr_expect_eq(answers[i].n, 1);
		cr_expect_eq(answers[i].status, GRPC_UNAVAILABLE);
		cr_expect_str_eq(answers[i].message, "modeld is shutting down");
	}
	cr_expect(bed.pool->killed);
	cr_expect_eq(dispatch_load(bed.d), 2, "what runs is still charged for");
	cr_expect_eq(bed.drained, 0);
	dispatch_kill(bed.d);
	dispatch_drain(bed.d);
	fake_drained(bed.pool);
	cr_expect_eq(dispatch_load(bed.d), 0);
	cr_expect_eq(answers[0].n, 1);
}

Test(dispatch, kill_while_draining)
{
	submit(bed.alpha, &answers[0]);
	bed_turn(&bed);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	dispatch_kill(bed.d);
	cr_expect_eq(answers[0].status, GRPC_UNAVAILABLE);
	cr_expect(bed.pool->killed);
	bed_turn(&bed);
	cr_expect_not(bed.pool->draining);
}

Test(dispatch_own, drained_only_when_populating_has_ended)
{
	struct lease *l;

	bed_init(&bed);
	bed.settings.arena.limit = 64 << 20;
	bed.settings.arena.populate_ahead = 64 << 20;
	bed_up(&bed);
	cr_assert_eq(lease_new(&l, dispatch_desk(bed.d), bed.client, 128 << 10, 0), 0);
	dispatch_schedule(bed.d);
	cr_assert(bed.d->populate.busy);
	lease_unref(l);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	bed.pool->events->on_drained(bed.pool->data);
	cr_expect_eq(bed.drained, 0, "a thread still touches the arena");
	while (!bed.drained)
		uv_run(&bed.loop, UV_RUN_ONCE);
	cr_expect_not(bed.d->populate.busy);
}

/* --- Failures everywhere ------------------------------------------------------------------------ */

/* Whether it was taken. */
static bool try_submit(struct bed *b, struct version *m, struct answer *a)
{
	struct request *r = bed_request(b, m, b->client, 1, 0, a);
	bool taken = r && !request_add_parameter(r, "key", "value") && !dispatch_submit(b->d, r);

	request_unref(r);
	return taken;
}

/* alpha's request loses two workers; gamma's is refused, its second input is missing. */
static int exercise(struct bed *b)
{
	struct answer a[2] = {0};
	bool alpha = try_submit(b, b->alpha, &a[0]);
	bool gamma = try_submit(b, b->gamma, &a[1]);

	for (int i = 0; i < 2; i++) {
		bed_turn(b);
		fake_lose(&b->pool->workers[0]);
		fake_set_ready(&b->pool->workers[0], true);
	}
	bed_turn(b);
	cr_assert(!gamma && a[1].n == 0);
	cr_assert_eq(a[0].n, alpha, "answered once if it was taken");
	cr_assert_eq(dispatch_load(b->d), 0);
	return alpha && a[0].status == GRPC_INTERNAL ? 0 : -1;
}

static int life(void *arg)
{
	struct bed b;
	int r;

	bed_init(&b);
	r = bed_open(&b);
	if (!r) {
		bed_start(&b);
		r = exercise(&b);
	}
	bed_close(&b);
	return r;
}

Test(dispatch_bare, every_failure_leaves_nothing_behind)
{
	FAULT_LOOP(life, NULL);
}

/* --- Versions that come and go ---------------------------------------------------------------- */

static const struct wire_loaded *alpha_declares(void)
{
	return bed.pool->loaded[0];
}

/* alpha anew, by the number of its own; it is made by the pool as `id`. */
static void replace_alpha(uint32_t id)
{
	unsigned before = bed.version_events;

	cr_assert_eq(dispatch_add_version(bed.d, &bed.models[0], bed.alpha, NULL), 0);
	cr_expect_gt(bed.version_events, before);
	cr_assert_eq(bed.pool->n_models, id + 1);
	cr_expect_eq(dispatch_n_versions(bed.d), 4);
}

Test(dispatch, a_version_is_replaced_under_its_requests)
{
	struct answer a[4] = {{0}};
	struct request *begun;
	struct version *new;

	begun = bed_request(&bed, bed.alpha, bed.client, 1, 0, &a[0]);
	request_unref(bed_submit(&bed, bed.alpha, &a[1]));
	bed_turn(&bed);
	replace_alpha(3);
	cr_expect_eq(dispatch_find_version(bed.d, "alpha", 5), bed.alpha);
	request_unref(bed_submit(&bed, bed.alpha, &a[2]));
	fake_load(bed.pool, 3, alpha_declares());
	new = dispatch_find_version(bed.d, "alpha", 5);
	cr_expect_neq(new, bed.alpha);
	cr_expect_eq(dispatch_find_version(bed.d, "", 0), new, "it is the default");
	cr_expect_eq(dispatch_n_versions(bed.d), 3);
	/* What was begun on the old one is finished there. */
	cr_expect_eq(dispatch_submit(bed.d, begun), 0);
	request_unref(begun);
	request_unref(bed_submit(&bed, new, &a[3]));
	for (int i = 0; i < 8 && !a[3].n; i++) {
		bed_turn(&bed);
		if (fake_first(bed.pool, NULL))
			fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	}
	for (int i = 0; i < 4; i++)
		cr_expect_eq(a[i].status, GRPC_OK);
	bed_turn(&bed);
	cr_assert(bed.pool->models[0]->retired);
	cr_expect_not(bed.pool->models[3]->retired);
	fake_gone(bed.pool, 0);
	cr_expect_null(bed.pool->models[0]);
	bed.alpha = new;
}

Test(dispatch, a_version_that_fails_leaves_the_old_one)
{
	replace_alpha(3);
	fake_fail(bed.pool, 3, "no such file");
	cr_expect_eq(dispatch_find_version(bed.d, "alpha", 5), bed.alpha);
	cr_expect_eq(dispatch_n_versions(bed.d), 3);
	bed_turn(&bed);
	cr_assert(bed.pool->models[3]->retired);
	fake_gone(bed.pool, 3);
	cr_expect_null(bed.pool->models[3]);
}

Test(dispatch, a_version_is_removed_when_its_last_request_is_done)
{
	struct answer a = {0};
	unsigned before;

	request_unref(bed_submit(&bed, bed.alpha, &a));
	before = bed.version_events;
	dispatch_remove_version(bed.d, bed.alpha);
	cr_expect_eq(bed.version_events, before + 1);
	cr_expect_null(dispatch_find_version(bed.d, "alpha", 5));
	cr_expect_null(dispatch_find_number(bed.d, "alpha", 5, "1", 1));
	bed_turn(&bed);
	cr_expect_not(bed.pool->models[0]->retired);
	fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	cr_expect_eq(a.status, GRPC_OK);
	bed_turn(&bed);
	cr_expect(bed.pool->models[0]->retired);
	fake_gone(bed.pool, 0);
	cr_expect_null(bed.pool->models[0]);
	cr_expect_eq(dispatch_counters(bed.d).requests_ok, 1, "it still counts");
}

Test(dispatch, ends_with_a_version_that_goes)
{
	struct answer a = {0};

	request_unref(bed_submit(&bed, bed.alpha, &a));
	bed_turn(&bed);
	dispatch_remove_version(bed.d, bed.alpha);
	cr_assert_eq(dispatch_add_version(bed.d, &bed.models[1], bed.beta, NULL), 0);
	dispatch_kill(bed.d);
	cr_expect_eq(a.status, GRPC_UNAVAILABLE);
}

Test(dispatch, two_versions_side_by_side)
{
	struct version_settings second;
	struct version *v;
	struct answer a[2] = {{0}};

	second = bed.models[0];
	second.version = "2";
	cr_assert_eq(dispatch_add_version(bed.d, &second, NULL, NULL), 0);
	cr_expect_eq(dispatch_find_version(bed.d, "alpha", 5), bed.alpha, "not ready yet");
	fake_load(bed.pool, 3, alpha_declares());
	v = dispatch_find_version(bed.d, "alpha", 5);
	cr_expect_str_eq(version_settings(v)->version, "2");
	cr_expect_eq(dispatch_find_number(bed.d, "alpha", 5, "1", 1), bed.alpha);
	cr_expect_eq(dispatch_find_number(bed.d, "alpha", 5, "2", 1), v);
	request_unref(bed_submit(&bed, bed.alpha, &a[0]));
	request_unref(bed_submit(&bed, v, &a[1]));
	for (int i = 0; i < 4; i++) {
		bed_turn(&bed);
		if (fake_first(bed.pool, NULL))
			fake_done(bed.pool, fake_first(bed.pool, NULL), 0);
	}
	cr_expect_eq(a[0].status, GRPC_OK);
	cr_expect_eq(a[1].status, GRPC_OK);
	cr_expect_eq(dispatch_add_version(bed.d, &second, NULL, NULL), -EEXIST);
}
