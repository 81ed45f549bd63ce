/* Tests of ModelStreamInfer: answers in order, failures among them, and the small calls that say no. */
#include "services/infer_stream.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "kserve_messages.h"
#include "tests/support/failalloc.h"

static struct fixture f;
static struct kserve_ask ask;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	kserve_model(&f);
	kserve_ask_init(&ask);
	double_call_open(
		&call, fixture_method(&kserve_service, "ModelStreamInfer"), &f.services, &f.client);
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(kserve_stream, .init = set_up, .fini = tear_down);

static bool ask_it(const char *model, const char *id)
{
	ask.m.model_name = (char *)model;
	ask.m.id = (char *)id;
	kserve_ask_pack(&ask);
	return double_call_message(&call, ask.packed, ask.n);
}

static Inference__ModelStreamInferResponse *read_stream(unsigned i)
{
	Inference__ModelStreamInferResponse *m;

	cr_assert_lt(i, call.n_messages);
	m = inference__model_stream_infer_response__unpack(NULL, call.n_sent[i], call.sent[i]);
	cr_assert(m && m->infer_response, "the answer is no ModelStreamInferResponse");
	return m;
}

static void expect_answer(unsigned i, const char *id)
{
	Inference__ModelStreamInferResponse *m = read_stream(i);
	ModelInferResponse *r = m->infer_response;

	cr_expect_str_eq(m->error_message, "");
	cr_expect_str_eq(r->id, id);
	cr_assert_eq(r->n_parameters, 1);
	cr_expect_str_eq(r->parameters[0]->key, "triton_final_response");
	cr_expect(r->parameters[0]->value->bool_param);
	cr_assert_eq(r->n_raw_output_contents, 2);
	cr_expect_arr_eq(r->raw_output_contents[1].data, ask.bytes + 16, 16);
	inference__model_stream_infer_response__free_unpacked(m, NULL);
}

static void expect_refusal(unsigned i, const char *id, const char *text)
{
	Inference__ModelStreamInferResponse *m = read_stream(i);

	cr_expect_str_eq(m->error_message, text);
	cr_expect_str_eq(m->infer_response->id, id);
	inference__model_stream_infer_response__free_unpacked(m, NULL);
}

static void echo(unsigned i)
{
	cr_assert(double_nth(&f.dispatch, i));
	double_echo_all(double_nth(&f.dispatch, i));
}

Test(kserve_stream, failures_are_answers_in_their_turn)
{
	cr_assert(ask_it("m", "1"));
	cr_assert(ask_it("x", "2"));
	cr_expect_eq(call.n_messages, 0, "the first one is not answered yet");
	cr_assert(ask_it("m", "3"));
	double_call_half_close(&call);
	echo(1);
	echo(0);
	cr_assert_eq(call.n_messages, 3);
	expect_answer(0, "1");
	expect_refusal(1, "2", "Request for unknown model: 'x' is not found");
	expect_answer(2, "3");
	cr_expect(call.closed);
	cr_expect_eq(call.status, GRPC_OK);
}

/* Parsers refuse a message with a text that is no UTF-8, and a client would lose the stream. */
Test(kserve_stream, a_failure_that_quotes_what_is_no_utf8)
{
	char name[2 * 200 + 1] = "";
	char text[512];

	for (unsigned i = 0; i < 200; i++)
		memcpy(name + 2 * i, "\xc3\xa9", 2);
	cr_assert(ask_it("a\xff", "1"));
	expect_refusal(0, "1", "Request for unknown model: 'a?' is not found");
	cr_assert(ask_it(name, "2"), "it is quoted up to half of a character");
	name[254] = '?';
	name[255] = '\0';
	snprintf(text, sizeof(text), "Request for unknown model: '%s' is not found", name);
	expect_refusal(1, "2", text);
}

/* --- Models that answer any number of times --------------------------------------------------- */

static void decouple(void)
{
	f.dispatch.models[0].declared.decoupled = true;
}

/* The parameter of the message is all: 0: no last answer is given that is empty. */
static bool ask_for_all(const char *id, bool empty_final)
{
	inference__infer_parameter__init(&ask.values[0]);
	inference__model_infer_request__parameters_entry__init(&ask.parameters[0]);
	ask.values[0].parameter_choice_case =
		INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
	ask.values[0].bool_param = empty_final;
	ask.parameters[0].key = (char *)"triton_enable_empty_final_response";
	ask.parameters[0].value = &ask.values[0];
	ask.parameter_list[0] = &ask.parameters[0];
	ask.m.n_parameters = 1;
	return ask_it("m", id);
}

static void say_part(struct request *r)
{
	struct output_lease *lease = double_lease_new(&f.dispatch);
	const struct pool_output output = {
		.dtype = DTYPE_F32, .rank = 1, .dims = {4}, .data = ask.bytes, .length = 16};

	double_partial(r, &output, lease);
	output_lease_unref(lease);
}

static void say(unsigned i, bool partial)
{
	struct request *r = double_nth(&f.dispatch, i);

	cr_assert(r);
	if (partial)
		say_part(r);
	else
		double_answer(r, GRPC_OK, "", NULL, NULL);
}

static void expect_part(unsigned i, const char *id, size_t n_outputs, bool final)
{
	Inference__ModelStreamInferResponse *m = read_stream(i);
	ModelInferResponse *r = m->infer_response;

	cr_expect_str_eq(m->error_message, "");
	cr_expect_str_eq(r->model_name, "m");
	cr_expect_str_eq(r->id, id);
	cr_expect_eq(r->n_outputs, n_outputs);
	cr_expect_eq(r->n_raw_output_contents, n_outputs);
	cr_assert_eq(r->n_parameters, 1);
	cr_expect_str_eq(r->parameters[0]->key, "triton_final_response");
	cr_expect_eq(r->parameters[0]->value->bool_param, final);
	inference__model_stream_infer_response__free_unpacked(m, NULL);
}

Test(kserve_stream, answers_in_part)
{
	decouple();
	cr_assert(ask_for_all("1", false));
	cr_assert(ask_for_all("2", true));
	cr_assert(ask_for_all("3", true));
	say(2, false);
	say(1, true);
	cr_expect_eq(call.n_messages, 0);
	say(0, true);
	say(0, true);
	cr_assert_eq(call.n_messages, 2);
	say(0, false);
	cr_assert_eq(call.n_messages, 3, "no last one that is empty for the first");
	say(0, false);
	cr_assert_eq(call.n_messages, 5);
	expect_part(0, "1", 1, false);
	expect_part(1, "1", 1, false);
	expect_part(2, "2", 1, false);
	expect_part(3, "2", 0, true);
	expect_part(4, "3", 0, true);
	double_call_half_close(&call);
	cr_expect(call.closed);
	cr_expect_eq(call.status, GRPC_OK);
}

Test(kserve_stream, a_last_answer_with_outputs)
{
	decouple();
	cr_assert(ask_for_all("1", true));
	say(0, true);
	echo(0);
	cr_assert_eq(call.n_messages, 2);
	expect_part(0, "1", 1, false);
	expect_part(1, "1", 2, true);
}

Test(kserve_stream, a_failure_after_answers_in_part)
{
	decouple();
	cr_assert(ask_for_all("1", true));
	say(0, true);
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "the soup is cold", NULL, NULL);
	cr_assert_eq(call.n_messages, 2);
	expect_refusal(1, "1", "the soup is cold");
	cr_expect(!call.closed);
}

Test(kserve_stream, only_a_stream_can_take_them)
{
	decouple();
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&kserve_service, "ModelInfer"), &f.services, &f.client);
	cr_assert(ask_it("m", "1"));
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_UNIMPLEMENTED);
	cr_expect_str_eq(call.text,
		"ModelInfer RPC doesn't support models with decoupled transaction policy");
}

/* --- Failures --------------------------------------------------------------------------------- */

Test(kserve_stream, what_the_model_says)
{
	cr_assert(ask_it("m", "1"));
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "the soup is cold", NULL, NULL);
	expect_refusal(0, "1", "the soup is cold");
	cr_expect(!call.closed);
}

Test(kserve_stream, a_request_that_fails_on_its_way_in_is_skipped)
{
	double_call_free(&call);
	f.settings.max_request_metadata_bytes = 60;
	double_call_open(
		&call, fixture_method(&kserve_service, "ModelStreamInfer"), &f.services, &f.client);
	call.chunk = 1;
	cr_assert(
		ask_it("m", "0123456789012345678901234567890123456789012345678901234567890123456"));
	cr_assert_eq(call.n_messages, 1);
	call.chunk = 0;
	expect_refusal(0, "",
		"ModelInferRequest without its tensor data is larger than [limits] "
		"max_request_metadata_bytes, 60");
	cr_expect(!call.closed, "it goes on");
}

Test(kserve_stream, without_room_for_its_tensors)
{
	f.dispatch.lease_error = LEASE_E_LARGE;
	cr_assert(ask_it("m", "1"));
	cr_assert_eq(call.n_messages, 1);
	f.dispatch.lease_error = 0;
	cr_assert(ask_it("m", "2"));
	echo(0);
	expect_answer(1, "2");
}

Test(kserve_stream, the_server_ends)
{
	cr_assert(ask_it("m", "1"));
	call.draining = true;
	call.method->drain(&call, call.state);
	cr_expect(!call.closed, "an answer is due");
	echo(0);
	expect_answer(0, "1");
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(
		call.text, "GRPC server is shutting down and has stopped accepting new requests.");
}

/* What waits for room when the server ends is not begun: that it has found none later is no news. */
Test(kserve_stream, the_server_ends_while_a_request_waits_for_room)
{
	f.settings.arena_wait_ms = 1;
	cr_assert(ask_it("m", "1"));
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert_not(ask_it("m", "2"));
	call.draining = true;
	call.method->drain(&call, call.state);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_expect(!call.closed, "an answer is due");
	f.dispatch.lease_error = 0;
	echo(0);
	cr_expect_eq(call.n_messages, 1);
	expect_answer(0, "1");
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_UNAVAILABLE, "got %s: %s", grpc_status_name(call.status),
		call.text);
}

Test(kserve_stream, no_more_empty_requests_than_fit)
{
	ask_it("m", "1");
	for (unsigned i = 0; i < 3; i++)
		double_call_message(&call, ask.packed, 0);
	echo(0);
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
}

static int stream_once(void *arg)
{
	struct call c;
	bool ok;

	(void)arg;
	double_call_open(
		&c, fixture_method(&kserve_service, "ModelStreamInfer"), &f.services, &f.client);
	double_call_message(&c, ask.packed, ask.n);
	double_call_message(&c, (const uint8_t *)"\x0a\x01x", 3);
	double_call_message(&c, ask.packed, ask.n);
	double_call_half_close(&c);
	while (double_queued(&f.dispatch))
		double_echo_all(double_nth(&f.dispatch, double_queued(&f.dispatch) - 1));
	cr_assert(c.closed, "an end in any case");
	ok = c.status == GRPC_OK && c.n_messages == 3;
	double_call_free(&c);
	return ok ? 0 : -ENOMEM;
}

/* A request without memory is a failure like others. */
Test(kserve_stream, without_memory)
{
	kserve_ask_pack(&ask);
	FAULT_LOOP(stream_once, NULL);
}

/* --- The small calls that say no, or what is so ------------------------------------------------ */

static void small(const char *method, const void *data, size_t n)
{
	double_call_free(&call);
	double_call_open(&call, fixture_method(&kserve_service, method), &f.services, &f.client);
	double_call_message(&call, data, n);
	cr_assert(call.closed);
}

#define SMALL(method, text) small(method, text, sizeof(text) - 1)

static void expect_status(enum grpc_status status, const char *text)
{
	cr_expect_eq(call.status, status, "got %s", call.text);
	cr_expect_str_eq(call.text, text);
}

Test(kserve_stream, shared_memory_by_key_is_off)
{
	f.services.keys.allowed = CLIENT_SHM_OFF;
	SMALL("SystemSharedMemoryRegister", "\x0a\x01r");
	cr_expect_eq(call.status, GRPC_UNIMPLEMENTED);
	SMALL("SystemSharedMemoryUnregister", "");
	cr_expect_eq(call.status, GRPC_UNIMPLEMENTED);
	SMALL("SystemSharedMemoryStatus", "");
	cr_expect_eq(call.status, GRPC_OK);
	SMALL("SystemSharedMemoryStatus", "\x0a\x01r");
	expect_status(GRPC_NOT_FOUND, "Unable to find system shared memory region: 'r'");
	SMALL("CudaSharedMemoryRegister", "\x0a\x01r");
	expect_status(GRPC_INVALID_ARGUMENT,
		"failed to register shared memory region 'r': invalid args (GPUs not supported: "
		"[server] client_cuda_shm is off)");
	SMALL("CudaSharedMemoryUnregister", "");
	cr_expect_eq(call.status, GRPC_OK);
	SMALL("CudaSharedMemoryStatus", "\x0a\x01r");
	expect_status(GRPC_NOT_FOUND, "Unable to find cuda shared memory region: 'r'");
}

Test(kserve_stream, settings_can_be_read)
{
	SMALL("TraceSetting", "");
	cr_expect_eq(call.status, GRPC_OK);
	SMALL("TraceSetting", "\x0a\x1b\x0a\x0btrace_level\x12\x0c\x0a\x0aTIMESTAMPS");
	cr_expect_eq(call.status, GRPC_UNIMPLEMENTED);
	SMALL("LogSettings", "");
	cr_expect_eq(call.status, GRPC_OK);
	SMALL("LogSettings", "\x0a\x0f\x0a\x08log_file\x12\x03\x1a\x01x");
	expect_status(GRPC_UNIMPLEMENTED,
		"log file location can not be updated through network protocol");
}
