/* Tests of infer_stream.c: order, limits, back-pressure, and every way to end. */
#include "services/infer_stream.h"

#include <criterion/criterion.h>
#include <string.h>

#include "infer_messages.h"
#include "tests/support/failalloc.h"

static struct fixture f;
static struct ask ask;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	double_model(&f.dispatch, "m");
	ask_init(&ask);
	double_call_open(&call, fixture_method(&model_worker_service, "InferStream"), &f.services,
		&f.client);
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(infer_stream, .init = set_up, .fini = tear_down);

/* Send a request with that id. True: all of it was taken. */
static bool ask_it(const char *id)
{
	ask.m.request_id = (char *)id;
	ask_pack(&ask);
	return double_call_message(&call, ask.packed, ask.n);
}

static void expect_answer(unsigned i, const char *id)
{
	InferResponse *m = read_response(&call, i);

	cr_expect_str_eq(m->request_id, id);
	cr_expect_eq(m->n_metadata, 7);
	cr_assert_eq(m->output_case, OUTPUT(DATA));
	cr_assert_eq(m->tensor_data->data.len, 16);
	cr_expect_arr_eq(m->tensor_data->data.data, ask.bytes, 16);
	free_response(m);
}

static void echo(unsigned i)
{
	cr_assert(double_nth(&f.dispatch, i));
	double_echo(double_nth(&f.dispatch, i));
}

static void expect_end(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the stream goes on");
	cr_expect_eq(call.status, status, "got %s: %s", grpc_status_name(call.status), call.text);
	cr_expect(strstr(call.text, text), "got: %s", call.text);
}

Test(infer_stream, without_a_request)
{
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
	cr_expect_eq(call.n_messages, 0);
}

Test(infer_stream, each_request_is_answered_at_once)
{
	cr_assert(ask_it("a"));
	echo(0);
	cr_expect_eq(call.n_messages, 1);
	expect_answer(0, "a");
	cr_assert(ask_it("b"));
	echo(0);
	expect_answer(1, "b");
	cr_expect(!call.closed);
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, a_request_that_takes_long_to_read_counts_for_more)
{
	char id[10 * 1024] = "";

	cr_assert(ask_it("a"));
	cr_expect_eq(call.work, 0);
	cr_expect_eq(call.kept, 0);
	memset(id, 'b', sizeof(id) - 1);
	cr_assert(ask_it(id));
	cr_expect_eq(call.work, 10);
	cr_expect_geq(call.kept, sizeof(id) - 1, "and is charged meanwhile");
}

Test(infer_stream, answers_come_in_the_order_of_requests)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	cr_assert(ask_it("c"));
	double_call_half_close(&call);
	echo(2);
	echo(1);
	cr_expect_eq(call.n_messages, 0);
	cr_expect_eq(f.dispatch.n_output_leases, 2, "they wait where they are");
	echo(0);
	cr_assert_eq(call.n_messages, 3);
	expect_answer(0, "a");
	expect_answer(1, "b");
	expect_answer(2, "c");
	expect_end(GRPC_OK, "");
}

Test(infer_stream, no_more_are_taken_than_max_stream_requests)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	cr_assert(ask_it("c"));
	cr_assert(!ask_it("d"));
	cr_expect_eq(call.n_rest, ask.n, "not a byte");
	cr_expect_eq(double_queued(&f.dispatch), 3);
	echo(1);
	cr_expect(call.in_message, "answered, but not sent");
	echo(0);
	cr_expect(!call.in_message);
	cr_expect_eq(double_queued(&f.dispatch), 2);
	expect_answer(0, "a");
	expect_answer(1, "b");
	double_call_half_close(&call);
	echo(0);
	echo(0);
	expect_answer(2, "c");
	expect_answer(3, "d");
	expect_end(GRPC_OK, "");
}

/* At a limit that refuses unary calls it goes on one by one. */
Test(infer_stream, one_at_a_time_while_a_limit_of_dispatch_is_reached)
{
	cr_assert(ask_it("a"));
	f.dispatch.full = true;
	cr_assert(!ask_it("b"));
	cr_expect_eq(call.n_rest, ask.n, "not a byte");
	cr_expect(double_nth(&f.dispatch, 0)->allows_excess);
	echo(0);
	cr_expect(!call.in_message, "nothing else of it is in flight");
	cr_assert(!ask_it("c"));
	f.dispatch.full = false;
	echo(0);
	cr_expect(!call.in_message);
	cr_assert(ask_it("d"));
	cr_expect_eq(double_queued(&f.dispatch), 2);
	echo(0);
	echo(0);
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, nothing_is_taken_while_answers_are_not_read)
{
	call.blocked = true;
	cr_assert(!ask_it("a"));
	call.method->writable(&call, call.state);
	cr_expect(call.in_message, "still not");
	call.blocked = false;
	call.method->writable(&call, call.state);
	cr_expect(!call.in_message);
	echo(0);
	expect_answer(0, "a");
	call.method->writable(&call, call.state);
	cr_expect_eq(call.n_resumed, 1, "only where it was stopped");
}

Test(infer_stream, a_bad_request_ends_it_after_the_answers_before)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	ask.m.model_id = (char *)"nobody";
	cr_assert(ask_it("c"));
	ask.m.model_id = (char *)"m";
	cr_assert(ask_it("d"), "dropped");
	cr_expect_eq(double_queued(&f.dispatch), 2);
	cr_expect(!call.closed);
	double_call_half_close(&call);
	echo(1);
	echo(0);
	cr_assert_eq(call.n_messages, 2);
	expect_answer(0, "a");
	expect_answer(1, "b");
	expect_end(GRPC_NOT_FOUND, "model 'nobody' not found");
}

Test(infer_stream, a_bad_first_request_ends_it_at_once)
{
	ask.m.input_case = 0;
	cr_assert(ask_it("a"));
	expect_end(GRPC_INVALID_ARGUMENT, "Missing input tensor");
}

Test(infer_stream, a_message_that_is_none)
{
	cr_assert(ask_it("a"));
	cr_assert(double_call_message(&call, (const uint8_t *)"\x0f\x0f\x0f", 3));
	cr_expect(!call.closed);
	echo(0);
	expect_end(GRPC_INTERNAL, "malformed InferRequest");
	cr_expect_eq(call.n_messages, 1);
}

Test(infer_stream, empty_messages)
{
	cr_assert(double_call_message(&call, NULL, 0));
	expect_end(GRPC_NOT_FOUND, "model_id is empty");
}

Test(infer_stream, a_failed_request_ends_it_and_what_is_behind)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	cr_assert(ask_it("c"));
	double_answer(double_nth(&f.dispatch, 1), GRPC_INTERNAL, "fell over", NULL, NULL);
	cr_expect(!call.closed);
	echo(0);
	expect_end(GRPC_INTERNAL, "fell over");
	cr_expect_eq(call.n_messages, 1);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
}

Test(infer_stream, output_that_is_missing)
{
	cr_assert(ask_it("a"));
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", NULL, NULL);
	expect_end(GRPC_INTERNAL, "gave no output");
}

Test(infer_stream, cancelled)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	cr_assert(ask_it("c"));
	echo(1);
	cr_assert(!ask_it("d"));
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_cancelled, 2);
}

/* --- A model that is being loaded ----------------------------------------------------------- */

static void load(bool done)
{
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = done;
	if (done)
		double_end_holds(&f.dispatch);
}

Test(infer_stream, waits_for_its_model)
{
	load(false);
	cr_assert(ask_it("a"));
	cr_assert(!ask_it("b"), "the message before it is not read yet");
	cr_expect_eq(call.n_rest, ask.n, "not a byte");
	cr_expect_eq(double_queued(&f.dispatch), 0);
	load(true);
	cr_expect(!call.in_message);
	cr_expect_eq(double_queued(&f.dispatch), 2);
	cr_assert(ask_it("c"));
	for (int i = 0; i < 3; i++)
		echo(0);
	expect_answer(0, "a");
	expect_answer(1, "b");
	expect_answer(2, "c");
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, has_its_model_loaded)
{
	const char *name = f.dispatch.models[0].settings.name;

	f.dispatch.demand_error = 0;
	f.dispatch.models[0].settings.name = "other";
	f.dispatch.default_model = NULL;
	cr_assert(ask_it("a"));
	cr_assert(!ask_it("b"), "the message before it is not read yet");
	f.dispatch.models[0].settings.name = name;
	double_end_demands(&f.dispatch, GRPC_OK, "");
	cr_expect(!call.in_message);
	cr_expect_eq(double_queued(&f.dispatch), 2);
	for (int i = 0; i < 2; i++)
		echo(0);
	expect_answer(0, "a");
	expect_answer(1, "b");
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, its_model_does_not_come)
{
	load(false);
	cr_assert(ask_it("a"));
	cr_assert(!ask_it("b"));
	f.dispatch.refusal = GRPC_UNAVAILABLE;
	double_end_holds(&f.dispatch);
	expect_end(GRPC_UNAVAILABLE, "refused by dispatch");
	cr_expect_eq(f.dispatch.n_requests, 0);
}

Test(infer_stream, nothing_at_all_while_it_waits_for_its_model)
{
	load(false);
	cr_assert(ask_it("a"));
	cr_assert(double_call_message(&call, NULL, 0));
	load(true);
	echo(0);
	expect_answer(0, "a");
	expect_end(GRPC_RESOURCE_EXHAUSTED, "empty requests");
}

Test(infer_stream, half_closed_while_it_waits_for_its_model)
{
	load(false);
	cr_assert(ask_it("a"));
	double_call_half_close(&call);
	cr_assert(!call.closed);
	load(true);
	echo(0);
	expect_answer(0, "a");
	expect_end(GRPC_OK, "");
}

Test(infer_stream, cancelled_while_it_waits_for_its_model)
{
	load(false);
	cr_assert(ask_it("a"));
	cr_assert(!ask_it("b"));
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	cr_expect_eq(f.dispatch.n_requests, 0);
	cr_expect(list_empty(&f.dispatch.held));
}

Test(infer_stream, drained_while_it_waits_for_its_model)
{
	load(false);
	cr_assert(ask_it("a"));
	infer_stream_drain(&call, call.state);
	cr_assert(!call.closed);
	load(true);
	echo(0);
	expect_answer(0, "a");
	expect_end(GRPC_UNAVAILABLE, "shutting down");
}

Test(infer_stream, waits_for_room)
{
	cr_assert(ask_it("a"));
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it("b"));
	echo(0);
	f.dispatch.lease_error = 0;
	cr_assert(double_space(&f.dispatch));
	cr_expect(!call.in_message);
	echo(0);
	expect_answer(1, "b");
}

Test(infer_stream, room_does_not_come)
{
	f.settings.arena_wait_ms = 1;
	cr_assert(ask_it("a"));
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it("b"));
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_expect(!call.closed, "the answer before it is due first");
	echo(0);
	expect_answer(0, "a");
	expect_end(GRPC_RESOURCE_EXHAUSTED, "[limits] arena_wait_ms is 1");
}

Test(infer_stream, draining_ends_it_behind_the_answers_that_are_due)
{
	cr_assert(ask_it("a"));
	call.method->drain(&call, call.state);
	cr_assert(ask_it("b"), "dropped");
	cr_expect_eq(double_queued(&f.dispatch), 1);
	echo(0);
	expect_answer(0, "a");
	expect_end(GRPC_UNAVAILABLE, "shutting down");
}

Test(infer_stream, draining_ends_an_idle_one_at_once)
{
	call.method->drain(&call, call.state);
	expect_end(GRPC_UNAVAILABLE, "shutting down");
}

Test(infer_stream, draining_lets_one_finish_that_ends_anyway)
{
	cr_assert(ask_it("a"));
	double_call_half_close(&call);
	call.method->drain(&call, call.state);
	echo(0);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, answers_that_cannot_be_sent)
{
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	call.send_error = -ENOMEM;
	echo(1);
	echo(0);
	expect_end(GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* Three requests, answered from behind; the second waits for room. */
static int stream_once(void *arg)
{
	struct call c;
	bool ok;

	(void)arg;
	double_call_open(
		&c, fixture_method(&model_worker_service, "InferStream"), &f.services, &f.client);
	double_call_message(&c, ask.packed, ask.n);
	f.dispatch.lease_error = LEASE_E_FULL;
	double_call_message(&c, ask.packed, ask.n);
	f.dispatch.lease_error = 0;
	double_space(&f.dispatch);
	if (!c.in_message)
		double_call_message(&c, ask.packed, ask.n);
	double_call_half_close(&c);
	while (double_queued(&f.dispatch))
		double_echo(double_nth(&f.dispatch, double_queued(&f.dispatch) - 1));
	cr_assert(c.closed);
	cr_assert(c.status == GRPC_OK || c.status == GRPC_RESOURCE_EXHAUSTED);
	ok = c.status == GRPC_OK && c.n_messages == 3;
	double_call_free(&c);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_assert_eq(f.dispatch.n_leases, 0);
	cr_assert_eq(f.dispatch.n_requests, 0);
	cr_assert_eq(f.dispatch.n_output_leases, 0);
	return ok ? 0 : -ENOMEM;
}

Test(infer_stream, without_memory)
{
	ask_pack(&ask);
	FAULT_LOOP(stream_once, NULL);
}

/* --- Answers in part -------------------------------------------------------------------------- */

static void part(unsigned i)
{
	static const uint8_t bytes[16];
	struct request *r = double_nth(&f.dispatch, i);
	struct output_lease *lease = double_lease_new(&f.dispatch);
	const struct pool_output output = {
		.dtype = DTYPE_F32, .rank = 1, .dims = {4}, .data = bytes, .length = sizeof(bytes)};

	cr_assert(r);
	double_partial(r, &output, lease);
	output_lease_unref(lease);
}

static void last(unsigned i)
{
	cr_assert(double_nth(&f.dispatch, i));
	double_answer(double_nth(&f.dispatch, i), GRPC_OK, "", NULL, NULL);
}

static void expect_part(unsigned i, const char *id, const char *final)
{
	InferResponse *m = read_response(&call, i);
	const char *said = NULL;

	cr_expect_str_eq(m->request_id, id);
	for (size_t k = 0; k < m->n_metadata; k++) {
		if (!strcmp(m->metadata[k]->key, "final"))
			said = m->metadata[k]->value;
	}
	cr_expect_str_eq(said, final);
	cr_expect_eq(m->output_case, !strcmp(final, "true") ? 0 : OUTPUT(DATA));
	free_response(m);
}

Test(infer_stream, a_decoupled_model_answers_several_times)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	part(0);
	part(0);
	cr_assert_eq(call.n_messages, 2);
	expect_part(0, "a", "false");
	expect_part(1, "a", "false");
	last(0);
	cr_assert_eq(call.n_messages, 3);
	expect_part(2, "a", "true");
	double_call_half_close(&call);
	expect_end(GRPC_OK, "");
}

Test(infer_stream, answers_in_part_wait_for_their_turn)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	part(1);
	part(1);
	part(0);
	cr_assert_eq(call.n_messages, 1);
	expect_part(0, "a", "false");
	last(0);
	cr_assert_eq(call.n_messages, 4);
	expect_part(1, "a", "true");
	expect_part(2, "b", "false");
	expect_part(3, "b", "false");
	part(0);
	cr_assert_eq(call.n_messages, 5);
	last(0);
	expect_part(5, "b", "true");
}

/* A failure comes behind what was answered. */
Test(infer_stream, a_failure_after_answers_in_part)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	part(1);
	double_answer(double_nth(&f.dispatch, 1), GRPC_INTERNAL, "broken", NULL, NULL);
	last(0);
	cr_assert_eq(call.n_messages, 2);
	expect_part(1, "b", "false");
	expect_end(GRPC_INTERNAL, "broken");
}

Test(infer_stream, unread_answers_are_limited)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	call.blocked = true;
	part(0);
	part(0);
	cr_expect(!call.closed);
	part(0);
	cr_assert_eq(call.n_messages, 2);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	expect_end(GRPC_RESOURCE_EXHAUSTED, "[limits] max_unread_answers");
}

Test(infer_stream, who_keeps_more_than_his_share_and_does_not_read_has_no_more)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	f.client.over_share = true;
	part(0);
	part(0);
	cr_expect(!call.closed, "it reads");
	call.blocked = true;
	part(0);
	cr_assert_eq(call.n_messages, 2);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	expect_end(GRPC_RESOURCE_EXHAUSTED, "[worker] output_arena_bytes");
}

Test(infer_stream, a_client_that_reads_again_may_have_more)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	for (int i = 0; i < 10; i++) {
		call.blocked = true;
		part(0);
		part(0);
		call.blocked = false;
		part(0);
	}
	cr_assert_eq(call.n_messages, 30);
	cr_expect(!call.closed);
}

Test(infer_stream, answers_that_wait_for_their_turn_are_limited_too)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	part(1);
	part(1);
	part(1);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	cr_expect(!call.closed, "the first one goes on");
	last(0);
	expect_end(GRPC_RESOURCE_EXHAUSTED, "[limits] max_unread_answers");
}

Test(infer_stream, a_call_that_ends_drops_what_waits)
{
	f.dispatch.models[0].declared.decoupled = true;
	cr_assert(ask_it("a"));
	cr_assert(ask_it("b"));
	part(1);
	cr_expect_eq(f.dispatch.n_output_leases, 1);
}
