/* Tests of early.c: who asks before a model is loaded waits for that, within limits. */
#include "dispatch/early.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "fake_bed.h"

static struct bed bed;
static unsigned n_ends;

/* Nothing is loaded yet. */
static void setup(void)
{
	int r;

	bed_init(&bed);
	bed.settings.retry_wait_ms = 3600000;
	bed.models[0].max_queue_size = 3;
	r = bed_open(&bed);
	cr_assert_eq(r, 0);
	cr_assert_eq(dispatch_start(bed.d), 0);
	n_ends = 0;
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(early, .init = setup, .fini = teardown);

static void on_end(void *data)
{
	n_ends++;
}

static void on_done(void *data, const struct request_result *result)
{
	cr_assert_fail("it was never submitted");
}

static struct request *make(struct version *v)
{
	struct request *r;

	cr_assert_eq(request_new(&r, v, &bed.origin, on_done, NULL), 0);
	return r;
}

/* One that waits. */
static struct request *hold(struct version *v)
{
	struct request *r = make(v);

	cr_assert_eq(dispatch_hold(bed.d, r, on_end), 0);
	return r;
}

/* It is over, and has that status. */
static void expect_end(struct request *r, enum grpc_status status, const char *text)
{
	cr_expect_eq(r->state, REQUEST_DONE);
	cr_expect_eq(request_status(r), status);
	cr_expect(strstr(request_message(r), text), "%s", request_message(r));
	request_unref(r);
}

Test(early, ends_when_the_model_is_loaded)
{
	struct request *r = hold(bed.alpha);

	bed_turn(&bed);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 0);
	cr_expect_eq(client_requests(bed.client), 1);
	cr_expect_eq(dispatch_load(bed.d), 1);
	bed_start(&bed);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1);
	cr_expect_eq(client_requests(bed.client), 0);
	expect_end(r, GRPC_OK, "");
	r = make(bed.alpha);
	cr_expect_eq(dispatch_hold(bed.d, r, on_end), DISPATCH_E_NOT_HELD);
	request_unref(r);
}

Test(early, waits_for_its_own_model_alone)
{
	struct request *a = hold(bed.alpha), *b = hold(bed.beta);
	static const struct wire_loaded nothing = {.ok = true};

	fake_load(bed.pool, 1, &nothing);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1);
	expect_end(b, GRPC_OK, "");
	request_cancel(a);
	request_unref(a);
}

Test(early, ends_when_there_is_nothing_to_wait_for)
{
	struct request *r = hold(bed.alpha);

	fake_fail(bed.pool, 0, "it is broken");
	bed.pool->hopeless[0] = true;
	fake_fail(bed.pool, 0, "it is broken");
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1);
	expect_end(r, GRPC_OK, "");
	r = make(bed.alpha);
	cr_expect_eq(dispatch_hold(bed.d, r, on_end), DISPATCH_E_NOT_HELD);
	cr_expect_eq(dispatch_submit(bed.d, r), DISPATCH_E_REFUSED);
	expect_end(r, GRPC_UNAVAILABLE, "it is broken");
}

Test(early, ends_when_its_version_is_removed)
{
	struct request *r = hold(bed.alpha);

	dispatch_remove_version(bed.d, bed.alpha);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1);
	expect_end(r, GRPC_OK, "");
	fake_gone(bed.pool, 0);
}

/* In real time. */
Test(early, does_not_wait_for_ever)
{
	struct request *r;

	bed.d->early.retry_wait_ms = 20;
	r = hold(bed.alpha);
	while (n_ends == 0) {
		bed_turn(&bed);
		uv_run(&bed.loop, UV_RUN_ONCE);
	}
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 1);
	expect_end(r, GRPC_UNAVAILABLE,
		"model 'alpha' was not loaded within 20 ms ([dispatch] retry_wait_ms)");
}

Test(early, nor_past_its_deadline)
{
	struct request *r;

	bed.origin.deadline_ns = clock_ns() + 20 * NS_PER_MS;
	r = hold(bed.alpha);
	while (n_ends == 0) {
		bed_turn(&bed);
		uv_run(&bed.loop, UV_RUN_ONCE);
	}
	expect_end(r, GRPC_DEADLINE_EXCEEDED, "model 'alpha' was not loaded yet");
}

Test(early, within_the_limits_of_what_is_queued)
{
	struct request *r[4];

	for (int i = 0; i < 3; i++)
		r[i] = hold(bed.alpha);
	r[3] = make(bed.alpha);
	cr_expect_eq(dispatch_hold(bed.d, r[3], on_end), DISPATCH_E_REFUSED);
	expect_end(r[3], GRPC_RESOURCE_EXHAUSTED, "3 requests wait for model 'alpha'");
	bed.settings.max_requests_per_client = 3;
	r[3] = make(bed.beta);
	cr_expect_eq(dispatch_hold(bed.d, r[3], on_end), DISPATCH_E_REFUSED);
	expect_end(r[3], GRPC_RESOURCE_EXHAUSTED, "max_requests_per_client");
	request_cancel(r[0]);
	cr_expect(request_withdraw(r[1]));
	cr_expect_eq(client_requests(bed.client), 1);
	bed_start(&bed);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1, "of those that were given up nobody hears");
	for (int i = 0; i < 3; i++)
		request_unref(r[i]);
}

Test(early, not_when_nobody_is_to_wait)
{
	struct request *r = make(bed.alpha);

	bed.d->early.retry_wait_ms = 0;
	cr_expect_eq(dispatch_hold(bed.d, r, on_end), DISPATCH_E_NOT_HELD);
	bed.d->early.retry_wait_ms = UINT64_MAX;
	request_unref(r);
	r = hold(bed.alpha);
	dispatch_drain(bed.d);
	bed_turn(&bed);
	cr_expect_eq(n_ends, 1);
	expect_end(r, GRPC_OK, "");
	r = make(bed.alpha);
	cr_expect_eq(dispatch_hold(bed.d, r, on_end), DISPATCH_E_NOT_HELD);
	request_unref(r);
}

static struct request *next;

static void cancel_next(void *data)
{
	n_ends++;
	if (next)
		request_cancel(next);
	next = request_unref(next);
}

/* One ends, and its owner gives another one up; killed, none is left. */
Test(early, ends_in_any_way)
{
	struct request *r = make(bed.alpha);

	cr_assert_eq(dispatch_hold(bed.d, r, cancel_next), 0);
	next = hold(bed.beta);
	dispatch_kill(bed.d);
	cr_expect_eq(n_ends, 1);
	expect_end(r, GRPC_OK, "");
	cr_expect_eq(dispatch_load(bed.d), 0);
}
