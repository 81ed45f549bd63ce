/* Tests of model_worker_service.c and what Infer is made of: infer*.c. */
#include "services/model_worker_service.h"

#include <criterion/criterion.h>

#include "base/clock.h"
#include "infer_messages.h"
#include "tests/support/failalloc.h"

static struct fixture f;
static struct ask ask;
static struct call call;
static struct version *model;

static void set_up(void)
{
	fixture_init(&f);
	model = double_model(&f.dispatch, "m");
	memset(&ask, 0, sizeof(ask));
	ask_init(&ask);
	double_call_open(
		&call, fixture_method(&model_worker_service, "Infer"), &f.services, &f.client);
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(infer, .init = set_up, .fini = tear_down);

/* Another call of Infer in place of the one there is. */
static void reopen(void)
{
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&model_worker_service, "Infer"), &f.services, &f.client);
}

static bool ask_it(void)
{
	ask_pack(&ask);
	return double_call_message(&call, ask.packed, ask.n);
}

static void expect_status(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, status, "got %s: %s", grpc_status_name(call.status), call.text);
	cr_expect(strstr(call.text, text), "got: %s", call.text);
	if (status != GRPC_OK)
		cr_expect_eq(call.n_messages, 0);
}

/* --- The good ways -------------------------------------------------------------------------- */

static void round_trip(size_t chunk)
{
	InferResponse *m;

	call.chunk = chunk;
	call.received_ns = clock_ns() - 1500 * NS_PER_US;
	cr_assert(ask_it());
	cr_assert(!call.closed);
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
	cr_assert_eq(call.n_messages, 1);
	m = read_response(&call, 0);
	cr_expect_str_eq(m->request_id, "id-7");
	cr_assert_eq(m->output_case, OUTPUT(DATA));
	cr_expect_str_eq(m->tensor_data->dtype, "f32");
	cr_assert_eq(m->tensor_data->n_shape, 1);
	cr_expect_eq(m->tensor_data->shape[0], 4);
	cr_assert_eq(m->tensor_data->data.len, 16);
	cr_expect_arr_eq(m->tensor_data->data.data, ask.bytes, 16);
	cr_expect_geq(m->inference_time_ms, 2, "rounded up");
	cr_expect_eq(m->n_metadata, 7);
	cr_expect_str_eq(metadata(m, "queue_us"), "250");
	cr_expect_str_eq(metadata(m, "compute_us"), "42");
	cr_expect_str_eq(metadata(m, "batch_size"), "3");
	cr_expect_str_eq(metadata(m, "worker"), "cpu:0/1");
	cr_expect_str_eq(metadata(m, "device"), "cpu:0");
	cr_expect_str_eq(metadata(m, "model_version"), "1");
	cr_expect_geq(atoll(metadata(m, "total_us")), 1500);
	free_response(m);
	cr_expect_eq(f.services.tensor_bytes_received, 16);
	cr_expect_eq(f.services.tensor_bytes_copied_in, 16);
	cr_expect_eq(call.tensor_bytes, 16);
}

Test(infer, answers)
{
	round_trip(0);
}

Test(infer, answers_when_it_comes_byte_by_byte)
{
	round_trip(1);
}

Test(infer, answers_when_it_comes_in_threes)
{
	round_trip(3);
}

Test(infer, length_is_not_known_when_compressed)
{
	call.announced = UINT64_MAX;
	round_trip(7);
}

Test(infer, empty_model_id_is_the_default_model)
{
	f.dispatch.default_model = double_model(&f.dispatch, "other");
	ask.m.model_id = (char *)"";
	cr_assert(ask_it());
	cr_expect_eq(double_nth(&f.dispatch, 0)->model, f.dispatch.default_model);
}

/* The name comes ahead of the tensor: known is where the model runs, not yet which version is asked for. */
Test(infer, its_tensor_lies_near_what_computes_it)
{
	f.dispatch.numa_node = 2;
	cr_assert(ask_it());
	cr_expect_eq(f.dispatch.lease_numa_node, 2);
	double_echo(double_nth(&f.dispatch, 0));
	reopen();
	ask.m.model_id = (char *)"nobody";
	(void)ask_it();
	cr_expect_eq(f.dispatch.lease_numa_node, 0, "of no model");
}

Test(infer, deadline_and_arrival_are_passed_on)
{
	call.deadline_ns = 1234567;
	call.received_ns = 777;
	cr_assert(ask_it());
	cr_expect_eq(double_nth(&f.dispatch, 0)->deadline_ns, 1234567);
	cr_expect_eq(double_nth(&f.dispatch, 0)->times.received_ns, 777);
}

Test(infer, shape_of_rank_0_and_16)
{
	ask.data.n_shape = 16;
	for (unsigned i = 0; i < 16; i++)
		ask.shape[i] = 1;
	cr_assert(ask_it());
	cr_expect_eq(double_nth(&f.dispatch, 0)->inputs[0].rank, 16);
	double_echo(double_nth(&f.dispatch, 0));
	reopen();
	ask.data.n_shape = 0;
	cr_assert(ask_it());
	cr_expect_eq(double_nth(&f.dispatch, 0)->inputs[0].rank, 0);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

Test(infer, an_empty_tensor)
{
	InferResponse *m;

	ask.data.data.len = 0;
	ask.shape[0] = 0;
	cr_assert(ask_it());
	cr_expect_eq(double_nth(&f.dispatch, 0)->inputs[0].length, 0);
	cr_expect_neq(double_nth(&f.dispatch, 0)->inputs[0].lease, NULL);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
	m = read_response(&call, 0);
	cr_expect_eq(m->tensor_data->data.len, 0);
	free_response(m);
}

Test(infer, an_empty_tensor_that_is_written_out)
{
	static const uint8_t message[] = "\x0a\x01m\x1a\x09\x0a\x00\x12\x01\x00\x1a\x02u8";

	cr_assert(double_call_message(&call, message, sizeof(message) - 1));
	cr_assert(!call.closed, "%s", call.text);
	cr_expect_eq(double_nth(&f.dispatch, 0)->inputs[0].length, 0);
}

Test(infer, parameters_are_the_models_but_for_ours)
{
	static const struct wire_declaration outputs[] = {
		{.name = "OUTPUT", .any_shape = true}, {.name = "SECOND", .any_shape = true}};
	struct request *r;

	model->declared.outputs = outputs;
	model->declared.n_outputs = 2;
	ask_parameter(&ask, "output", "OUTPUT");
	ask_parameter(&ask, "temperature", "0.1");
	ask_parameter(&ask, "input", "INPUT");
	ask_parameter(&ask, "temperature", "0.2");
	ask_parameter(&ask, "output", "SECOND");
	cr_assert(ask_it());
	r = double_nth(&f.dispatch, 0);
	cr_assert_eq(r->n_parameters, 1);
	cr_expect_str_eq(r->parameters[0][0], "temperature");
	cr_expect_str_eq(r->parameters[0][1], "0.2", "the last one counts");
	cr_assert_eq(r->n_outputs, 1);
	cr_expect_eq(r->outputs[0], 1);
}

Test(infer, the_last_tensor_data_counts)
{
	static const uint8_t message[] =
		"\x0a\x01m\x1a\x0e\x0a\x02xx\x0a\x01y\x12\x01\x01\x1a\x02u8";
	struct request *r;

	cr_assert(double_call_message(&call, message, sizeof(message) - 1));
	cr_assert(!call.closed, "%s", call.text);
	r = double_nth(&f.dispatch, 0);
	cr_expect_eq(r->inputs[0].length, 1);
	cr_expect_eq(*(uint8_t *)lease_data(r->inputs[0].lease), 'y');
	cr_expect_eq(f.dispatch.n_leases, 1, "the first was given back");
}

/* --- request_id ----------------------------------------------------------------------------- */

static void one_id(const char *id, char *out, size_t cap)
{
	InferResponse *m;

	reopen();
	ask.m.request_id = (char *)id;
	cr_assert(ask_it());
	double_echo(double_nth(&f.dispatch, 0));
	m = read_response(&call, 0);
	snprintf(out, cap, "%s", m->request_id);
	free_response(m);
}

Test(infer, request_id_is_echoed)
{
	char id[1001];
	char got[1100];

	memset(id, 'x', sizeof(id));
	id[1000] = '\0';
	one_id(id, got, sizeof(got));
	cr_expect_str_eq(got, id);
	one_id("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", got, sizeof(got));
	cr_expect_str_eq(got, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

Test(infer, an_empty_request_id_is_filled)
{
	char a[64];
	char b[64];

	one_id("", a, sizeof(a));
	one_id("", b, sizeof(b));
	cr_expect_gt(strlen(a), 16);
	cr_expect_str_neq(a, b);
}

Test(infer, a_request_id_that_is_no_text)
{
	static const char *const ids[] = {"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xc3", "\x80", "\xc3("};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		reopen();
		ask.m.request_id = (char *)ids[i];
		cr_assert(ask_it());
		expect_status(GRPC_INVALID_ARGUMENT, "request_id is not valid UTF-8");
	}
}

/* --- What is refused ------------------------------------------------------------------------ */

Test(infer, missing_input)
{
	ask.m.input_case = 0;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "Missing input tensor");
}

Test(infer, an_empty_message_names_no_model)
{
	cr_assert(double_call_message(&call, ask.packed, 0));
	expect_status(GRPC_NOT_FOUND, "[models] default");
}

Test(infer, unknown_model)
{
	ask.m.model_id = (char *)"nobody";
	cr_assert(ask_it());
	expect_status(GRPC_NOT_FOUND, "model 'nobody' not found");
}

static struct handoff handoff;

/* Ask for 16 bytes in a region, from the loopback, with a handoff. */
static void ask_ref(const char *token)
{
	f.services.handoff = &handoff;
	handoff.region.size = 4096;
	call.peer.loopback = true;
	ask.m.input_case = INPUT(REF);
	ask.m.tensor_ref = &ask.ref;
	ask.ref.region_id = (char *)token;
	ask.ref.offset = 64;
	ask.ref.size = 16;
	ask.ref.n_shape = 1;
	ask.ref.shape = ask.shape;
	ask.ref.dtype = (char *)"f32";
}

Test(infer, tensor_ref_without_a_handoff)
{
	ask_ref(DOUBLE_TOKEN);
	f.services.handoff = NULL;
	cr_assert(ask_it());
	expect_status(GRPC_FAILED_PRECONDITION, "shared memory handoff is not available");
}

Test(infer, tensor_ref_is_taken_as_it_lies)
{
	const struct request_input *in;

	ask_ref(DOUBLE_TOKEN);
	cr_assert(ask_it());
	cr_assert_eq(double_queued(&f.dispatch), 1);
	in = &double_nth(&f.dispatch, 0)->inputs[0];
	cr_expect_eq(in->region, &handoff.region);
	cr_expect_null(in->lease);
	cr_expect_eq(in->offset, 64);
	cr_expect_eq(in->length, 16);
	cr_expect_eq(in->dtype, DTYPE_F32);
	cr_expect_eq(in->dims[0], 4);
	cr_expect_eq(handoff.counted, 16);
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "enough", NULL, NULL);
	cr_expect_eq(handoff.region.refs, 0);
}

/* Whoever sees an error must not learn a token. */
#define REGION_NOT_FOUND                                                                           \
	"region not found: it is not registered, or not for this caller (by TCP none is, unless "  \
	"[handoff] tokens_over_tcp says so)"

Test(infer, unknown_region_and_one_of_others_are_alike)
{
	ask_ref("00112233445566778899aabbccddee00");
	cr_assert(ask_it());
	expect_status(GRPC_NOT_FOUND, REGION_NOT_FOUND);
}

Test(infer, region_from_elsewhere)
{
	ask_ref(DOUBLE_TOKEN);
	call.peer.loopback = false;
	cr_assert(ask_it());
	expect_status(GRPC_NOT_FOUND, REGION_NOT_FOUND);
}

Test(infer, output_goes_to_a_region)
{
	struct pool_output output = {.dtype = DTYPE_F32, .rank = 1, .dims = {4}, .length = 16};
	const struct request_target *t;
	InferResponse *m;

	ask_ref(DOUBLE_TOKEN);
	ask_parameter(&ask, "output_region", DOUBLE_TOKEN);
	ask_parameter(&ask, "output_offset", "1024");
	cr_assert(ask_it());
	t = &double_nth(&f.dispatch, 0)->target;
	cr_expect_eq(t->region, &handoff.region);
	cr_expect_eq(t->offset, 1024);
	cr_expect_eq(t->length, 3072, "what follows");
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", &output, NULL);
	expect_status(GRPC_OK, "");
	m = read_response(&call, 0);
	cr_assert_eq(m->output_case, OUTPUT(REF));
	cr_expect_str_eq(m->tensor_ref->region_id, DOUBLE_TOKEN);
	cr_expect_eq(m->tensor_ref->offset, 1024);
	cr_expect_eq(m->tensor_ref->size, 16);
	cr_expect_str_eq(m->tensor_ref->dtype, "f32");
	cr_assert_eq(m->tensor_ref->n_shape, 1);
	cr_expect_eq(m->tensor_ref->shape[0], 4);
	free_response(m);
	cr_expect_eq(handoff.counted, 32);
	cr_expect_eq(handoff.region.refs, 0);
}

/* It is sent like one that has no region. */
Test(infer, output_that_is_too_large_for_its_region)
{
	static const float data[4] = {1, 2, 3, 4};
	struct pool_output output = {
		.dtype = DTYPE_F32, .rank = 1, .dims = {4}, .data = data, .length = 16};
	struct output_lease *lease;
	InferResponse *m;

	ask_ref(DOUBLE_TOKEN);
	ask_parameter(&ask, "output_region", DOUBLE_TOKEN);
	ask_parameter(&ask, "output_size", "15");
	cr_assert(ask_it());
	lease = double_lease_new(&f.dispatch);
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", &output, lease);
	output_lease_unref(lease);
	expect_status(GRPC_OK, "");
	m = read_response(&call, 0);
	cr_assert_eq(m->output_case, OUTPUT(DATA));
	cr_assert_eq(m->tensor_data->data.len, 16);
	cr_expect_arr_eq(m->tensor_data->data.data, data, 16);
	free_response(m);
}

Test(infer, output_offset_without_a_region)
{
	ask_parameter(&ask, "output_offset", "4");
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "need output_region");
}

Test(infer, output_size_that_is_no_number)
{
	static const char *const bad[] = {"", "-1", "1x", " 1", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask_ref(DOUBLE_TOKEN);
		ask.m.n_parameters = 0;
		ask_parameter(&ask, "output_region", DOUBLE_TOKEN);
		ask_parameter(&ask, "output_size", bad[i]);
		cr_assert(ask_it());
		expect_status(GRPC_INVALID_ARGUMENT, "parameter 'output_size' is not a number");
		cr_expect_eq(handoff.region.refs, 0);
	}
}

Test(infer, unknown_dtype)
{
	ask.data.dtype = (char *)"complex64";
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "unknown dtype 'complex64'");
}

Test(infer, negative_dimension)
{
	ask.data.n_shape = 2;
	ask.shape[1] = -1;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "dimension 1 of the shape is negative: -1");
}

Test(infer, rank_17)
{
	ask.data.n_shape = 17;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "shape of rank 17 exceeds 16");
}

Test(infer, a_model_of_two_inputs)
{
	static const struct wire_declaration inputs[] = {
		{.name = "INPUT0", .any_shape = true}, {.name = "INPUT1", .any_shape = true}};

	model->declared.inputs = inputs;
	model->declared.n_inputs = 2;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "model 'm' needs 2 inputs");
	cr_expect(strstr(call.text, "inference.GRPCInferenceService"));
}

Test(infer, names_that_the_model_has_not)
{
	ask_parameter(&ask, "input", "X");
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "model 'm' has no input 'X'");
	cr_expect(strstr(call.text, "; its input is '"), "%s", call.text);
	reopen();
	ask_parameter(&ask, "output", "Y");
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "model 'm' has no output 'Y'");
	cr_expect(strstr(call.text, "; its output is '"), "%s", call.text);
}

Test(infer, a_model_without_inputs)
{
	model->declared.n_inputs = 0;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "model 'm' has no inputs, but a tensor was sent");
	reopen();
	model->declared.n_inputs = 0;
	ask.m.input_case = 0;
	cr_assert(ask_it());
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "enough", NULL, NULL);
	expect_status(GRPC_INTERNAL, "enough");
}

Test(infer, a_model_without_output)
{
	model->declared.n_outputs = 0;
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "model 'm' has no output");
}

Test(infer, too_many_or_too_long_parameters)
{
	char key[WIRE_NAME_MAX + 2];
	char keys[129][8];

	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	ask_parameter(&ask, key, "");
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "keys of 255 bytes");
	ask.m.n_parameters = 0;
	reopen();
	ask_parameter(&ask, "colour", "\xff");
	cr_assert(ask_it());
	expect_status(GRPC_INVALID_ARGUMENT, "parameter 'colour' is not valid UTF-8");
	ask.m.n_parameters = 0;
	for (unsigned i = 0; i < 129; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%u", i);
		ask_parameter(&ask, keys[i], "");
		if (i != 64 && i != 128)
			continue;
		reopen();
		cr_assert(ask_it());
		expect_status(
			GRPC_INVALID_ARGUMENT, i == 64 ? "at most 64" : "129 parameters exceed");
	}
}

Test(infer, malformed)
{
	cr_assert(double_call_message(&call, (const uint8_t *)"\x0a\x05", 2));
	expect_status(GRPC_INTERNAL, "malformed InferRequest");
	reopen();
	/* For the scanner it is well formed: a map entry that is none. */
	cr_assert(double_call_message(&call, (const uint8_t *)"\x22\x01\x07", 3));
	expect_status(GRPC_INTERNAL, "malformed InferRequest");
}

Test(infer, ends_early)
{
	ask_pack(&ask);
	call.announced = UINT64_MAX;
	cr_assert(double_call_message(&call, ask.packed, ask.n - 1));
	expect_status(GRPC_INTERNAL, "malformed InferRequest");
}

Test(infer, tensor_data_twice)
{
	cr_assert(double_call_message(&call, (const uint8_t *)"\x1a\x00\x1a\x00", 4));
	expect_status(GRPC_INVALID_ARGUMENT, "tensor_data occurs more than once");
}

Test(infer, metadata_is_bounded)
{
	f.settings.max_request_metadata_bytes = 100;
	reopen();
	ask.m.request_id = (char *)"0123456789012345678901234567890123456789"
				   "0123456789012345678901234567890123456789012345678901234567890";
	cr_assert(ask_it());
	expect_status(GRPC_RESOURCE_EXHAUSTED, "[limits] max_request_metadata_bytes, 100");
}

Test(infer, fields_are_bounded)
{
	uint8_t data[2 * 4097];

	for (size_t i = 0; i < sizeof(data); i += 2) {
		data[i] = 0x78;
		data[i + 1] = 0;
	}
	cr_assert(double_call_message(&call, data, sizeof(data)));
	expect_status(GRPC_RESOURCE_EXHAUSTED, "more than 4096 fields");
}

/* A parameter of n bytes, filled with `unit` again and again, n_unit bytes. */
static void ask_parameter_of(const char *unit, size_t n_unit)
{
	static uint8_t data[4 + 60000];
	const size_t n = sizeof(data) - 4;

	memcpy(data, "\x22\xe0\xd4\x03", 4);
	for (size_t i = 0; i < n; i++)
		data[4 + i] = (uint8_t)unit[i % n_unit];
	cr_assert(double_call_message(&call, data, sizeof(data)));
}

Test(infer, what_is_small_needs_little_memory_to_be_read)
{
	/* That is the first thing that is wrong with it. Unknown fields; keys of which the last one counts: each is copied. */
	ask_parameter_of("\x78\x00", 2);
	expect_status(GRPC_NOT_FOUND, "model_id is empty");
	reopen();
	ask_parameter_of("\x0a\x01k", 3);
	expect_status(GRPC_NOT_FOUND, "model_id is empty");
}

Test(infer, many_dimensions)
{
	static uint8_t data[4 + 60000] = "\x12\xe0\xd4\x03";

	/* A TensorRef with a shape of nothing else, then of fields of a dimension each. */
	memcpy(data + 4, "\x22\xdc\xd4\x03", 4);
	cr_assert(double_call_message(&call, data, sizeof(data)));
	expect_status(GRPC_NOT_FOUND, "model_id is empty");
	reopen();
	for (size_t i = 4; i < sizeof(data); i += 2)
		memcpy(data + i, "\x20\x01", 2);
	cr_assert(double_call_message(&call, data, sizeof(data)));
	expect_status(GRPC_NOT_FOUND, "model_id is empty");
}

Test(infer, both_kinds_of_tensor)
{
	const char both[] = "\x0a\x01m\x1a\x00\x12\x00";

	cr_assert(double_call_message(&call, (const uint8_t *)both, sizeof(both) - 1));
	expect_status(GRPC_INVALID_ARGUMENT, "tensor_ref and tensor_data in one InferRequest");
}

Test(infer, refusal_of_dispatch)
{
	f.dispatch.refusal = GRPC_UNAVAILABLE;
	cr_assert(ask_it());
	expect_status(GRPC_UNAVAILABLE, "refused by dispatch");
}

Test(infer, a_model_never_loaded)
{
	model->is_declared = false;
	f.dispatch.refusal = GRPC_UNAVAILABLE;
	cr_assert(ask_it());
	expect_status(GRPC_UNAVAILABLE, "refused by dispatch");
}

/* --- What comes back ------------------------------------------------------------------------ */

Test(infer, failure_of_the_model)
{
	cr_assert(ask_it());
	double_answer(double_nth(&f.dispatch, 0), GRPC_INTERNAL, "model fell over", NULL, NULL);
	expect_status(GRPC_INTERNAL, "model fell over");
}

Test(infer, no_such_output)
{
	cr_assert(ask_it());
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", NULL, NULL);
	expect_status(GRPC_INTERNAL, "gave no output 0");
}

Test(infer, output_that_no_response_can_carry)
{
	struct pool_output output = {
		.dtype = DTYPE_U8, .rank = 1, .dims = {INT64_C(1) << 31}, .data = &output};

	cr_assert(ask_it());
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", &output, NULL);
	expect_status(GRPC_OUT_OF_RANGE, "is 2147483648");
	reopen();
	output.dims[0] = 1;
	output.length = UINT64_C(1) << 31;
	cr_assert(ask_it());
	double_answer(double_nth(&f.dispatch, 0), GRPC_OK, "", &output, NULL);
	expect_status(
		GRPC_RESOURCE_EXHAUSTED, "2147483648 bytes is larger than a protobuf message");
}

Test(infer, long_names_are_cut)
{
	static char version[5000];
	InferResponse *m;

	memset(version, 'v', sizeof(version) - 1);
	model->settings.version = version;
	cr_assert(ask_it());
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
	m = read_response(&call, 0);
	cr_expect_eq(strlen(metadata(m, "model_version")), 255);
	cr_expect_eq(m->tensor_data->data.len, 16, "what is behind it is whole");
	free_response(m);
}

Test(infer, response_that_cannot_be_sent)
{
	cr_assert(ask_it());
	call.send_error = -ENOMEM;
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

Test(infer, cancelled_in_flight)
{
	cr_assert(ask_it());
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	cr_expect_eq(f.dispatch.n_requests, 0);
}

Test(infer, cancelled_while_it_comes_in)
{
	ask_pack(&ask);
	call.method->message_begin(&call, call.state, ask.n);
	call.method->message_data(&call, call.state, ask.packed, ask.n - 3);
	cr_expect_eq(f.dispatch.n_leases, 1);
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_leases, 0);
}

/* --- A model that is being loaded ----------------------------------------------------------- */

Test(infer, waits_for_its_model)
{
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = false;
	cr_assert(ask_it());
	cr_expect_eq(double_queued(&f.dispatch), 0);
	cr_expect_eq(f.dispatch.n_leases, 1, "its tensor stays where it is");
	f.dispatch.models[0].is_declared = true;
	double_end_holds(&f.dispatch);
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

/* It is judged when there is something to judge it by. */
Test(infer, waits_for_its_model_in_vain)
{
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = false;
	ask.data.dtype = (char *)"f31";
	cr_assert(ask_it());
	cr_assert(!call.closed);
	f.dispatch.models[0].is_declared = true;
	double_end_holds(&f.dispatch);
	expect_status(GRPC_INVALID_ARGUMENT, "unknown dtype 'f31'");
}

Test(infer, its_model_does_not_come)
{
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = false;
	cr_assert(ask_it());
	f.dispatch.refusal = GRPC_UNAVAILABLE;
	double_end_holds(&f.dispatch);
	expect_status(GRPC_UNAVAILABLE, "refused by dispatch");
}

Test(infer, cancelled_while_it_waits_for_its_model)
{
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = false;
	cr_assert(ask_it());
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
	cr_expect_eq(f.dispatch.n_leases, 0);
	cr_expect(list_empty(&f.dispatch.held));
}

/* --- A model that is loaded on request ------------------------------------------------------ */

/* f's model is called otherwise until it is there. */
static void ask_for_what_is_not_loaded(void)
{
	f.dispatch.demand_error = 0;
	f.dispatch.models[0].settings.name = "other";
	f.dispatch.default_model = NULL;
	cr_assert(ask_it());
	cr_assert(!call.closed);
	cr_expect_eq(f.dispatch.n_leases, 1, "its tensor stays where it is");
	cr_expect_eq(f.dispatch.n_requests, 0);
}

static void load_it(void)
{
	f.dispatch.models[0].settings.name = ask.m.model_id;
	double_end_demands(&f.dispatch, GRPC_OK, "");
}

Test(infer, has_its_model_loaded)
{
	ask_for_what_is_not_loaded();
	load_it();
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

/* It is there, and then it is loaded by the workers. */
Test(infer, has_its_model_loaded_and_waits_for_that)
{
	ask_for_what_is_not_loaded();
	f.dispatch.holds = true;
	f.dispatch.models[0].is_declared = false;
	load_it();
	cr_assert(!call.closed);
	f.dispatch.models[0].is_declared = true;
	double_end_holds(&f.dispatch);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

Test(infer, its_model_cannot_be_loaded)
{
	ask_for_what_is_not_loaded();
	double_end_demands(&f.dispatch, GRPC_UNAVAILABLE, "it is broken");
	expect_status(GRPC_UNAVAILABLE, "it is broken");
}

/* Not for ever: what was loaded for it and has gone again is not found. */
Test(infer, its_model_is_loaded_once)
{
	char text[128];

	ask_for_what_is_not_loaded();
	double_end_demands(&f.dispatch, GRPC_OK, "");
	cr_expect(list_empty(&f.dispatch.demands));
	snprintf(text, sizeof(text), "model '%s' not found", ask.m.model_id);
	expect_status(GRPC_NOT_FOUND, text);
}

Test(infer, too_many_requests_to_have_a_model_loaded)
{
	f.dispatch.demand_error = DEMAND_E_FULL;
	f.dispatch.models[0].settings.name = "other";
	f.dispatch.default_model = NULL;
	cr_assert(ask_it());
	expect_status(GRPC_RESOURCE_EXHAUSTED, DEMAND_FULL_TEXT);
}

Test(infer, cancelled_while_its_model_is_loaded)
{
	ask_for_what_is_not_loaded();
	double_call_close(&call);
	cr_expect(list_empty(&f.dispatch.demands));
	cr_expect_eq(f.dispatch.n_leases, 0);
}

/* --- Room in the arena ---------------------------------------------------------------------- */

Test(infer, waits_for_room)
{
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it());
	cr_expect_eq(f.services.tensor_bytes_received, 0);
	cr_assert(double_space(&f.dispatch), "it stands in line");
	cr_assert(call.in_message, "and again, for there was none");
	f.dispatch.lease_error = 0;
	cr_assert(double_space(&f.dispatch));
	cr_assert(!call.in_message);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
	cr_expect_eq(f.services.tensor_bytes_copied_in, 16);
}

Test(infer, takes_nothing_while_it_waits)
{
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it());
	f.dispatch.lease_error = 0;
	cr_expect_eq(call.method->message_data(&call, call.state, call.rest, call.n_rest), 0,
		"others may be before it in the line");
	cr_assert(double_space(&f.dispatch));
	cr_expect(!call.in_message);
}

Test(infer, waits_for_its_share)
{
	f.dispatch.lease_error = LEASE_E_SHARE;
	call.chunk = 1;
	cr_assert(!ask_it());
	f.dispatch.lease_error = 0;
	cr_assert(double_space(&f.dispatch));
	cr_assert(!call.in_message);
	double_echo(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

Test(infer, waits_no_longer_than_arena_wait_ms)
{
	f.dispatch.lease_error = LEASE_E_FULL;
	f.settings.arena_wait_ms = 1;
	cr_assert(!ask_it());
	uv_run(&f.loop, UV_RUN_DEFAULT);
	expect_status(GRPC_RESOURCE_EXHAUSTED, "no room for 16 bytes");
	cr_expect(strstr(call.text, "[memory] input_arena_bytes is 1048576"));
	cr_expect(strstr(call.text, "[limits] arena_wait_ms is 1"));
	cr_expect(!double_space(&f.dispatch), "it left the line");
}

Test(infer, cancelled_while_it_waits)
{
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it());
	double_call_close(&call);
	cr_expect(!double_space(&f.dispatch));
}

Test(infer, fails_while_it_waits)
{
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(!ask_it());
	f.dispatch.lease_error = -ENOMEM;
	cr_assert(double_space(&f.dispatch));
	expect_status(GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

Test(infer, larger_than_the_arena)
{
	f.dispatch.arena.limit = 15;
	cr_assert(ask_it());
	expect_status(GRPC_RESOURCE_EXHAUSTED,
		"16 bytes is larger than one request may have of the "
		"input arena, 15: [memory] input_arena_bytes is 15");
}

Test(infer, an_empty_tensor_does_not_wait)
{
	ask.data.data.len = 0;
	f.dispatch.lease_error = LEASE_E_FULL;
	cr_assert(ask_it());
	expect_status(GRPC_RESOURCE_EXHAUSTED, "no room for 0 bytes");
}

/* --- Memory --------------------------------------------------------------------------------- */

/* One Infer, which finds the arena full where arg points to an error. */
static int infer_once(void *arg)
{
	const int *lease_error = arg;
	struct fixture *x = &f;
	struct call c;
	bool ok;

	x->dispatch.lease_error = *lease_error;
	double_call_open(
		&c, fixture_method(&model_worker_service, "Infer"), &x->services, &x->client);
	double_call_message(&c, ask.packed, ask.n);
	x->dispatch.lease_error = 0;
	double_space(&x->dispatch);
	if (double_queued(&x->dispatch))
		double_echo(double_nth(&x->dispatch, 0));
	cr_assert(c.closed, "an answer in any case");
	cr_assert(c.status == GRPC_OK || c.status == GRPC_RESOURCE_EXHAUSTED);
	ok = c.status == GRPC_OK;
	double_call_free(&c);
	uv_run(&x->loop, UV_RUN_DEFAULT);
	cr_assert_eq(x->dispatch.n_leases, 0);
	cr_assert_eq(x->dispatch.n_requests, 0);
	cr_assert_eq(x->dispatch.n_output_leases, 0);
	return ok ? 0 : -ENOMEM;
}

Test(infer, without_memory)
{
	char id[200];
	int lease_error = 0;

	memset(id, 'i', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	ask.m.request_id = id;
	for (unsigned i = 0; i < 40; i++)
		ask_parameter(&ask, &id[i], &id[100]);
	ask_pack(&ask);
	FAULT_LOOP(infer_once, &lease_error);
	lease_error = LEASE_E_FULL;
	FAULT_LOOP(infer_once, &lease_error);
}

Test(infer, a_small_one_costs_no_malloc)
{
	int lease_error = 0;

	ask_pack(&ask);
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	cr_assert_eq(infer_once(&lease_error), 0);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), 3,
		"of the played dispatch and transport: lease, request, "
		"message; not %lu",
		failalloc_count());
}
