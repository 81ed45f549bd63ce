/* Tests of admit.c: who is let in, and what those who are not are told. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "dispatch/admit.h"
#include "fake_bed.h"

static struct queue_settings levels = {.n_levels = 2, .default_level = 1};
static struct bed bed;
static struct answer answers[8];

static void setup(void)
{
	bed_init(&bed);
	bed.models[0].max_queue_size = 2;
	bed.models[0].queue = &levels;
	bed.settings.max_requests_per_client = 3;
	bed_up(&bed);
}

static void teardown(void)
{
	bed_close(&bed);
}

TestSuite(admit, .init = setup, .fini = teardown);

static void refused(struct request *r, enum grpc_status status, const char *text)
{
	cr_assert_eq(dispatch_submit(bed.d, r), DISPATCH_E_REFUSED);
	cr_expect_eq(request_status(r), status);
	cr_expect_str_eq(request_message(r), text);
	cr_expect_eq(r->state, REQUEST_DONE);
	cr_expect_null(r->n_inputs ? r->inputs[0].lease : NULL, "leases are back");
	request_unref(r);
}

static struct request *make(struct version *m, uint64_t deadline_ns)
{
	return bed_request(&bed, m, bed.client, 1, deadline_ns, &answers[7]);
}

Test(admit, takes_and_charges)
{
	struct request *r = make(bed.alpha, 0);

	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	cr_expect_eq(r->state, REQUEST_QUEUED);
	cr_expect_eq(r->refs, 2);
	cr_expect_eq(client_requests(bed.client), 1);
	cr_expect_eq(dispatch_load(bed.d), 1);
	cr_expect_eq(answers[7].n, 0);
	request_unref(r);
}

Test(admit, bad_tensors)
{
	struct request *r = make(bed.alpha, 0);

	r->inputs[0].dtype = DTYPE_F32;
	refused(r, GRPC_INVALID_ARGUMENT,
		"model 'alpha' input 'x': expected i32 [-1,4], got f32 [1,4]");
	cr_expect_eq(version_counters(bed.alpha)->requests_failed, 1);
	cr_expect_eq(version_figures(bed.alpha)->failures[VERSION_REJECTED], 1);
}

Test(admit, deadline_passed)
{
	refused(make(bed.alpha, 1), GRPC_DEADLINE_EXCEEDED,
		"deadline passed before the request for model 'alpha' was complete");
}

Test(admit, a_decoupled_model_needs_who_can_take_it)
{
	struct request *r;

	bed_decouple(&bed);
	cr_expect(version_decoupled(bed.alpha));
	cr_expect_not(version_decoupled(bed.gamma));
	refused(make(bed.alpha, 0), GRPC_UNIMPLEMENTED,
		"model 'alpha' answers a request any number of times (it is decoupled): only a "
		"streaming call can take that");
	r = make(bed.alpha, 0);
	request_allow_partial(r);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
}

Test(admit, draining)
{
	struct request *r = make(bed.alpha, 0);

	dispatch_drain(bed.d);
	refused(r, GRPC_UNAVAILABLE, "modeld is shutting down");
}

Test(admit, killed)
{
	struct request *r = make(bed.alpha, 0);

	dispatch_kill(bed.d);
	refused(r, GRPC_UNAVAILABLE, "modeld is shutting down");
}

Test(admit, not_loaded_yet)
{
	struct request *r;

	bed.pool->loaded[0] = NULL;
	cr_assert_eq(request_new(&r, bed.alpha, &bed.origin, bed_on_done, &answers[7]), 0);
	refused(r, GRPC_UNAVAILABLE, "model 'alpha' is not loaded yet");
}

Test(admit, loaded_meanwhile)
{
	const struct wire_loaded *loaded = bed.pool->loaded[0];
	struct request *r;

	bed.pool->loaded[0] = NULL;
	cr_assert_eq(request_new(&r, bed.alpha, &bed.origin, bed_on_done, &answers[7]), 0);
	bed.pool->loaded[0] = loaded;
	refused(r, GRPC_UNAVAILABLE, "model 'alpha' was not loaded yet when this request began");
}

Test(admit, failed)
{
	bed.pool->hopeless[0] = true;
	bed.pool->detail[0] = "model.onnx: no such file";
	refused(make(bed.alpha, 0), GRPC_UNAVAILABLE,
		"model 'alpha' has failed: model.onnx: no such file");
}

Test(admit, failed_without_a_word)
{
	bed.pool->hopeless[0] = true;
	refused(make(bed.alpha, 0), GRPC_UNAVAILABLE, "model 'alpha' has failed");
}

Test(admit, a_worker_on_its_way_back_is_waited_for)
{
	struct request *r = make(bed.alpha, 0);

	bed.pool->workers[0].ready = false;
	cr_expect_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
}

Test(admit, queue_full)
{
	for (int i = 0; i < 2; i++)
		request_unref(bed_submit(&bed, bed.alpha, &answers[i]));
	refused(make(bed.alpha, 0), GRPC_RESOURCE_EXHAUSTED,
		"2 requests wait for model 'alpha', which is the limit (max_queue_size)");
	request_unref(bed_submit(&bed, bed.beta, &answers[2]));
}

Test(admit, a_level_is_full)
{
	struct request *r;

	bed.alpha->settings.queue->policies[1].max_requests = 1;
	request_unref(bed_submit(&bed, bed.alpha, &answers[0]));
	r = make(bed.alpha, 0);
	cr_expect(request_finds_full(r));
	request_allow_excess(r);
	refused(r, GRPC_UNAVAILABLE, "Exceeds maximum queue size");
	r = make(bed.alpha, 0);
	request_set_queueing(r, 1, 0);
	cr_expect_not(request_finds_full(r), "there is room in the first one");
	cr_expect_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
	r = make(bed.alpha, 0);
	request_set_queueing(r, 1, 0);
	cr_expect(request_finds_full(r), "the queue is");
	request_unref(r);
}

/* For streams, which take no more while dispatch says that it is full. */
Test(admit, in_excess)
{
	struct request *r;

	cr_expect_not(dispatch_full(bed.d, bed.client, bed.alpha));
	for (int i = 0; i < 2; i++)
		request_unref(bed_submit(&bed, bed.alpha, &answers[i]));
	cr_expect(dispatch_full(bed.d, bed.client, bed.alpha), "its queue");
	cr_expect_not(dispatch_full(bed.d, bed.client, bed.beta));
	cr_expect_not(dispatch_full(bed.d, bed.client, NULL));
	r = make(bed.alpha, 0);
	request_allow_excess(r);
	cr_assert_eq(dispatch_submit(bed.d, r), 0);
	request_unref(r);
	cr_expect(dispatch_full(bed.d, bed.client, bed.beta), "the client's");
	cr_expect(dispatch_full(bed.d, bed.client, NULL));
}

/* A quarter is for calls that cannot wait. */
Test(admit, streams_leave_some_to_others)
{
	for (int i = 0; i < 3; i++)
		request_unref(bed_submit(&bed, bed.beta, &answers[i]));
	cr_expect(admit_full(bed.client, NULL, 3));
	cr_expect(admit_full(bed.client, NULL, 4));
	cr_expect_not(admit_full(bed.client, NULL, 5));
	bed.beta->work->queue.max = 4;
	cr_expect(admit_full(bed.client, bed.beta, 100));
	bed.beta->work->queue.max = 5;
	cr_expect_not(admit_full(bed.client, bed.beta, 100));
}

Test(admit, too_many_of_one_client)
{
	struct client *other;

	for (int i = 0; i < 3; i++)
		request_unref(bed_submit(&bed, bed.beta, &answers[i]));
	bed_turn(&bed);
	refused(make(bed.beta, 0), GRPC_RESOURCE_EXHAUSTED,
		"3 requests of this connection are queued or running, which is the limit "
		"([dispatch] max_requests_per_client)");
	cr_assert_eq(client_new(&other, dispatch_tally(bed.d)), 0);
	request_unref(bed_submit_by(&bed, bed.beta, other, 1, &answers[3]));
	client_unref(other);
}
