/* Tests of kserve_service.c and what ModelInfer is made of: kserve_{infer,inputs,check,parameters,reply,classify}.c.
 */
#include "services/kserve_service.h"

#include <criterion/criterion.h>
#include <string.h>

#include "kserve_messages.h"
#include "services/kserve_small.h"
#include "tests/support/failalloc.h"

static struct fixture f;
static struct kserve_ask ask;
static struct call call;
static struct version *model;

static void open_call(const char *method)
{
	double_call_open(&call, fixture_method(&kserve_service, method), &f.services, &f.client);
}

static void set_up(void)
{
	fixture_init(&f);
	model = kserve_model(&f);
	kserve_ask_init(&ask);
	open_call("ModelInfer");
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(kserve, .init = set_up, .fini = tear_down);

static void ask_it(void)
{
	kserve_ask_pack(&ask);
	cr_assert(double_call_message(&call, ask.packed, ask.n));
}

static struct request *asked(void)
{
	ask_it();
	cr_assert(!call.closed, "%s", call.text);
	cr_assert_eq(double_queued(&f.dispatch), 1);
	return double_nth(&f.dispatch, 0);
}

static void expect_status(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, status, "got %s: %s", grpc_status_name(call.status), call.text);
	cr_expect_str_eq(call.text, text);
	if (status != GRPC_OK)
		cr_expect_eq(call.n_messages, 0);
}

static void refuse(enum grpc_status status, const char *text)
{
	ask_it();
	expect_status(status, text);
}

Test(kserve, what_takes_long_to_read_counts_for_more)
{
	char id[10 * 1024] = "";

	memset(id, 'b', sizeof(id) - 1);
	ask.m.id = id;
	ask_it();
	cr_expect_eq(call.work, 10);
	cr_expect_geq(call.kept, sizeof(id), "and is charged meanwhile");
}

/* --- The good ways -------------------------------------------------------------------------- */

static void round_trip(size_t chunk)
{
	ModelInferResponse *m;

	call.chunk = chunk;
	double_echo_all(asked());
	expect_status(GRPC_OK, "");
	m = read_answer(&call, 0);
	cr_expect_str_eq(m->model_name, "m");
	cr_expect_str_eq(m->model_version, "1");
	cr_expect_str_eq(m->id, ask.m.id);
	cr_assert_eq(m->n_outputs, 2);
	cr_assert_eq(m->n_raw_output_contents, 2);
	cr_expect_str_eq(m->outputs[0]->name, "C");
	cr_expect_str_eq(m->outputs[1]->name, "D");
	for (size_t k = 0; k < 2; k++) {
		cr_expect_str_eq(m->outputs[k]->datatype, "FP32");
		cr_assert_eq(m->outputs[k]->n_shape, 1);
		cr_expect_eq(m->outputs[k]->shape[0], 4);
		cr_assert_eq(m->raw_output_contents[k].len, 16);
		cr_expect_arr_eq(m->raw_output_contents[k].data, ask.bytes + 16 * k, 16);
	}
	free_answer(m);
	cr_expect_eq(f.services.tensor_bytes_received, 32);
	cr_expect_eq(f.services.tensor_bytes_copied_in, 32, "once");
	cr_expect_eq(call.tensor_bytes, 32);
}

Test(kserve, answers)
{
	round_trip(0);
}

Test(kserve, answers_when_it_comes_byte_by_byte)
{
	round_trip(1);
}

Test(kserve, length_is_not_known_when_compressed)
{
	call.announced = UINT64_MAX;
	round_trip(5);
}

Test(kserve, inputs_are_found_by_name)
{
	struct request *r;

	ask.inputs[0].name = (char *)"B";
	ask.inputs[1].name = (char *)"A";
	r = asked();
	cr_expect_arr_eq(lease_at(r->inputs[0].lease, r->inputs[0].offset), ask.bytes + 16, 16);
	cr_expect_arr_eq(lease_at(r->inputs[1].lease, r->inputs[1].offset), ask.bytes, 16);
}

Test(kserve, an_id_is_not_made)
{
	ModelInferResponse *m;

	ask.m.id = (char *)"";
	double_echo_all(asked());
	m = read_answer(&call, 0);
	cr_expect_str_eq(m->id, "");
	free_answer(m);
}

Test(kserve, outputs_are_wanted_by_name)
{
	struct request *r;

	kserve_ask_output(&ask, "D");
	kserve_ask_output(&ask, "D");
	r = asked();
	cr_assert_eq(r->n_outputs, 1);
	cr_expect_eq(r->outputs[0], 1);
}

Test(kserve, empty_tensors_have_their_place)
{
	ModelInferResponse *m;

	ask.raw[0].len = 0;
	ask.shape[0][0] = 0;
	double_echo_all(asked());
	m = read_answer(&call, 0);
	cr_assert_eq(m->n_raw_output_contents, 2);
	cr_expect_eq(m->raw_output_contents[0].len, 0);
	cr_expect_eq(m->raw_output_contents[1].len, 16);
	free_answer(m);
}

Test(kserve, typed_contents)
{
	static float values[] = {1, -2, 3, 4};
	struct request *r;

	for (size_t k = 0; k < 2; k++) {
		Inference__InferTensorContents *c = kserve_ask_contents(&ask, k);

		c->n_fp32_contents = 4;
		c->fp32_contents = values;
	}
	ask.m.n_raw_input_contents = 0;
	r = asked();
	for (size_t k = 0; k < 2; k++) {
		cr_assert_eq(r->inputs[k].length, sizeof(values));
		cr_expect_arr_eq(
			lease_at(r->inputs[k].lease, r->inputs[k].offset), values, sizeof(values));
	}
}

Test(kserve, parameters_are_the_models_but_for_ours)
{
	Inference__InferParameter *p;
	struct request *r;

	p = kserve_ask_parameter(&ask, "i");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	p->int64_param = -5;
	p = kserve_ask_parameter(&ask, "b");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
	p = kserve_ask_parameter(&ask, "s");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	p->string_param = (char *)"first";
	p = kserve_ask_parameter(&ask, "d");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_DOUBLE_PARAM;
	p->double_param = 1.5;
	p = kserve_ask_parameter(&ask, "s");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	p->string_param = (char *)"last";
	p = kserve_ask_parameter(&ask, "timeout");
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	r = asked();
	cr_assert_eq(r->n_parameters, 4);
	cr_expect_str_eq(r->parameters[0][0], "i");
	cr_expect_str_eq(r->parameters[0][1], "-5");
	cr_expect_str_eq(r->parameters[1][1], "false");
	cr_expect_str_eq(r->parameters[2][1], "1.5");
	cr_expect_str_eq(r->parameters[3][1], "last", "the last one counts");
}

Test(kserve, a_request_that_needs_more_memory_than_is_at_hand)
{
	static char name[5000];

	memset(name, 'n', sizeof(name) - 1);
	ask.m.id = name;
	round_trip(0);
}

/* --- Refusals ------------------------------------------------------------------------------- */

#define NO_ID "[request id: id-7] "

Test(kserve, no_message)
{
	static const uint8_t bad[] = "\x2a\x05\x0a";

	cr_assert(double_call_message(&call, bad, sizeof(bad) - 1));
	expect_status(GRPC_INTERNAL, "malformed ModelInferRequest");
}

/* model_name = "m\0x" */
Test(kserve, a_name_with_more_behind_a_nul)
{
	static const uint8_t name[] = "\x0a\x03m\0x";

	cr_assert(double_call_message(&call, name, sizeof(name) - 1));
	expect_status(GRPC_INVALID_ARGUMENT, "ModelInferRequest with a NUL in a text");
}

Test(kserve, unknown_model)
{
	ask.m.model_name = (char *)"x";
	refuse(GRPC_NOT_FOUND, "Request for unknown model: 'x' is not found");
}

Test(kserve, a_model_that_failed)
{
	model->is_declared = model->hopeful = model->ready = false;
	refuse(GRPC_NOT_FOUND, "Request for unknown model: 'm' has no available versions");
}

Test(kserve, why_a_model_failed)
{
	model->is_declared = model->hopeful = model->ready = false;
	model->detail = "no such operator";
	refuse(GRPC_NOT_FOUND,
		"Request for unknown model: 'm' has no available versions: no such operator");
}

Test(kserve, a_model_that_is_being_loaded)
{
	model->is_declared = model->ready = false;
	f.dispatch.refusal = GRPC_UNAVAILABLE;
	refuse(GRPC_UNAVAILABLE, "refused by dispatch");
}

Test(kserve, the_server_ends)
{
	double_answer(asked(), GRPC_UNAVAILABLE, DISPATCH_ENDING_TEXT, NULL, NULL);
	cr_expect_eq(call.status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(
		call.text, "GRPC server is shutting down and has stopped accepting new requests.");
}

Test(kserve, waits_for_a_model_that_is_being_loaded)
{
	model->is_declared = model->ready = false;
	f.dispatch.holds = true;
	ask_it();
	cr_assert(!call.closed);
	cr_expect_eq(double_queued(&f.dispatch), 0);
	model->is_declared = model->ready = true;
	double_end_holds(&f.dispatch);
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_echo_all(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

Test(kserve, has_a_model_loaded)
{
	const char *name = model->settings.name;

	f.dispatch.demand_error = 0;
	model->settings.name = "other";
	ask_it();
	cr_assert(!call.closed);
	model->settings.name = name;
	double_end_demands(&f.dispatch, GRPC_OK, "");
	cr_assert_eq(double_queued(&f.dispatch), 1);
	double_echo_all(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
}

static void ask_of_model(const char *method)
{
	double_call_free(&call);
	open_call(method);
	double_call_message(&call,
		(const uint8_t *)"\x0a\x01m\x12\x01"
				 "1",
		6);
}

static const char *const what_it_is[] = {"ModelMetadata", "ModelConfig"};

Test(kserve, who_asks_what_a_model_is_has_it_loaded)
{
	const char *name = model->settings.name;

	f.dispatch.demand_error = 0;
	for (size_t i = 0; i < 2; i++) {
		model->settings.name = "other";
		ask_of_model(what_it_is[i]);
		cr_assert_not(call.closed, "%s", call.text);
		model->settings.name = name;
		double_end_demands(&f.dispatch, GRPC_OK, "");
		expect_status(GRPC_OK, "");
		cr_expect_eq(call.n_messages, 1);
	}
	cr_expect_str_eq(f.dispatch.demanded, "m/1 m/1");
	model->settings.name = "other";
	ask_of_model("ModelReady");
	expect_status(GRPC_OK, "");
	cr_expect_str_eq(
		f.dispatch.demanded, "m/1 m/1", "whether it is ready is no reason to load it");
	model->settings.name = name;
}

Test(kserve, who_asks_what_a_model_is_waits_while_it_is_being_loaded)
{
	f.dispatch.demand_error = 0;
	for (size_t i = 0; i < 2; i++) {
		model->is_declared = model->ready = false;
		ask_of_model(what_it_is[i]);
		cr_assert_not(call.closed, "%s", call.text);
		model->is_declared = model->ready = true;
		double_end_demands(&f.dispatch, GRPC_OK, "");
		expect_status(GRPC_OK, "");
	}
}

Test(kserve, what_a_model_is_that_is_not_to_be_had)
{
	const char *name = model->settings.name;

	model->settings.name = "other";
	for (size_t i = 0; i < 2; i++) {
		f.dispatch.demand_error = 0;
		ask_of_model(what_it_is[i]);
		double_end_demands(&f.dispatch, GRPC_UNAVAILABLE, "it is broken");
		expect_status(GRPC_UNAVAILABLE, "it is broken");
		ask_of_model(what_it_is[i]);
		double_end_demands(&f.dispatch, GRPC_UNAVAILABLE, DISPATCH_ENDING_TEXT);
		expect_status(GRPC_UNAVAILABLE, KSERVE_ENDING);
		ask_of_model(what_it_is[i]);
		double_end_demands(&f.dispatch, GRPC_OK, "");
		expect_status(
			GRPC_NOT_FOUND, "Request for unknown model: 'm' version 1 is not found");
		ask_of_model(what_it_is[i]);
		cr_expect_not(list_empty(&f.dispatch.demands));
		double_call_close(&call);
		cr_expect(list_empty(&f.dispatch.demands));
		f.dispatch.demand_error = DEMAND_E_FULL;
		ask_of_model(what_it_is[i]);
		expect_status(GRPC_RESOURCE_EXHAUSTED, DEMAND_FULL_TEXT);
		f.dispatch.demand_error = DEMAND_E_NOBODY;
		ask_of_model(what_it_is[i]);
		expect_status(
			GRPC_NOT_FOUND, "Request for unknown model: 'm' version 1 is not found");
	}
	model->settings.name = name;
}

Test(kserve, a_missing_input)
{
	ask.m.n_inputs = 1;
	refuse(GRPC_INVALID_ARGUMENT,
		NO_ID "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but "
		      "missing required input(s) ['B']. Please provide all required input(s).");
}

Test(kserve, an_input_too_many)
{
	kserve_ask_input(&ask, "Z");
	refuse(GRPC_INVALID_ARGUMENT,
		NO_ID "expected 2 inputs but got 3 inputs for model 'm'. Got input(s) "
		      "['Z','B','A'], but missing required input(s) []. Please provide all "
		      "required input(s).");
}

Test(kserve, too_many_dimensions)
{
	ask.inputs[0].n_shape = 17;
	refuse(GRPC_INVALID_ARGUMENT,
		"input 'A' for model 'm' has 17 dimensions, which exceeds 16");
}

Test(kserve, more_elements_than_there_can_be)
{
	static const int64_t any[] = {-1, -1};
	static const struct wire_declaration input[] = {
		{.name = "A", .dtype = DTYPE_F32, .rank = 2, .dims = any}};

	model->declared.inputs = input;
	model->declared.n_inputs = 1;
	ask.m.n_inputs = 1;
	ask.shape[0][0] = ask.shape[0][1] = INT64_MAX;
	ask.inputs[0].n_shape = 2;
	refuse(GRPC_INVALID_ARGUMENT, NO_ID "input 'A' for model 'm' has too many elements: "
					    "[9223372036854775807,9223372036854775807]");
}

Test(kserve, a_full_queue)
{
	model->queue_depth = 10;
	refuse(GRPC_UNAVAILABLE, NO_ID "Exceeds maximum queue size");
}

Test(kserve, what_dispatch_refuses)
{
	f.dispatch.refusal = GRPC_RESOURCE_EXHAUSTED;
	refuse(GRPC_RESOURCE_EXHAUSTED, "refused by dispatch");
}

Test(kserve, what_the_model_says)
{
	double_answer(asked(), GRPC_INTERNAL, "the soup is cold", NULL, NULL);
	expect_status(GRPC_INTERNAL, "the soup is cold");
}

Test(kserve, an_id_that_is_no_text)
{
	ask.m.id = (char *)"\xff";
	refuse(GRPC_INVALID_ARGUMENT, "id is not valid UTF-8");
}

Test(kserve, a_call_that_goes_away)
{
	asked();
	double_call_close(&call);
	cr_expect_eq(f.dispatch.n_cancelled, 1);
}

/* Ask for the `n` greatest elements of C, and answer with that. */
static void classify(int64_t n, const struct pool_output *o)
{
	Inference__InferParameter value = INFERENCE__INFER_PARAMETER__INIT;
	Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry entry =
		INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__PARAMETERS_ENTRY__INIT;
	Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry *list = &entry;

	kserve_ask_output(&ask, "C");
	value.parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	value.int64_param = n;
	entry.key = (char *)"classification";
	entry.value = &value;
	ask.outputs[0].parameters = &list;
	ask.outputs[0].n_parameters = 1;
	double_answer(asked(), GRPC_OK, "", o, NULL);
}

Test(kserve, classes_of_what_has_none)
{
	classify(2, &(struct pool_output){.index = 0, .dtype = DTYPE_BYTES, .data = ""});
	expect_status(GRPC_INVALID_ARGUMENT,
		"class result not available for output due to unsupported type 'BYTES'");
}

/* They are looked for on the loop, where others wait. */
Test(kserve, classes_of_more_than_is_looked_at_in_a_turn)
{
	static uint8_t data[(1 << 20) / 4 + 1];

	classify(5, &(struct pool_output){.index = 0,
			    .dtype = DTYPE_U8,
			    .rank = 2,
			    .dims = {1, sizeof(data)},
			    .data = data,
			    .length = sizeof(data)});
	expect_status(GRPC_RESOURCE_EXHAUSTED,
		"the greatest 5 of 262145 elements in each of 1 rows are too much to look for: "
		"ask for the output itself");
}

/* --- Without memory ------------------------------------------------------------------------- */

static int infer_once(void *arg)
{
	const int *lease_error = arg;
	struct call c;
	bool ok;

	f.dispatch.lease_error = *lease_error;
	double_call_open(&c, fixture_method(&kserve_service, "ModelInfer"), &f.services, &f.client);
	double_call_message(&c, ask.packed, ask.n);
	f.dispatch.lease_error = 0;
	double_space(&f.dispatch);
	if (double_queued(&f.dispatch))
		double_echo_all(double_nth(&f.dispatch, 0));
	cr_assert(c.closed, "an answer in any case");
	cr_assert(c.status == GRPC_OK || c.status == GRPC_RESOURCE_EXHAUSTED);
	ok = c.status == GRPC_OK;
	double_call_free(&c);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	cr_assert_eq(f.dispatch.n_leases, 0);
	cr_assert_eq(f.dispatch.n_requests, 0);
	cr_assert_eq(f.dispatch.n_output_leases, 0);
	return ok ? 0 : -ENOMEM;
}

Test(kserve, without_memory)
{
	static char id[5000];
	int lease_error = 0;

	memset(id, 'i', sizeof(id) - 1);
	ask.m.id = id;
	kserve_ask_pack(&ask);
	FAULT_LOOP(infer_once, &lease_error);
	lease_error = LEASE_E_FULL;
	FAULT_LOOP(infer_once, &lease_error);
}

/* --- The small calls ------------------------------------------------------------------------ */

static int small_once(void *arg)
{
	static const uint8_t name_m[] = "\x0a\x01m";
	struct call c;
	bool ok;

	double_call_open(&c, fixture_method(&kserve_service, arg), &f.services, &f.client);
	double_call_message(&c, name_m, sizeof(name_m) - 1);
	cr_assert(c.closed, "an answer in any case");
	cr_assert(c.status == GRPC_OK || c.status == GRPC_RESOURCE_EXHAUSTED, "%s: %s",
		(const char *)arg, c.text);
	ok = c.status == GRPC_OK;
	double_call_free(&c);
	return ok ? 0 : -ENOMEM;
}

Test(kserve, small_calls_without_memory)
{
	static const char *const names[] = {"ServerLive", "ServerReady", "ModelReady",
		"ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics"};

	double_worker(&f.dispatch, "cpu:0/0");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		FAULT_LOOP(small_once, (void *)names[i]);
}

static int demand_once(void *arg)
{
	const char *name = model->settings.name;
	bool ok;

	model->settings.name = "other";
	ask_of_model(arg);
	model->settings.name = name;
	if (!call.closed)
		double_end_demands(&f.dispatch, GRPC_OK, "");
	cr_assert(call.closed);
	ok = call.status == GRPC_OK;
	double_call_free(&call);
	f.dispatch.demanded[0] = '\0';
	return ok ? 0 : -ENOMEM;
}

Test(kserve, demands_without_memory)
{
	f.dispatch.demand_error = 0;
	for (size_t i = 0; i < 2; i++)
		FAULT_LOOP(demand_once, (void *)what_it_is[i]);
}

/* "name:count" of each group, and what it is on: "cpu-1", or "gpu" with the GPU's number; -1: it has none. */
static void expect_groups(const char *expected)
{
	Inference__ModelConfigResponse *m;
	char text[256] = "";

	double_call_free(&call);
	open_call("ModelConfig");
	double_call_message(&call, (const uint8_t *)"\x0a\x01m", 3);
	expect_status(GRPC_OK, "");
	m = inference__model_config_response__unpack(NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	for (size_t i = 0; i < m->config->n_instance_group; i++) {
		const Inference__ModelInstanceGroup *g = m->config->instance_group[i];
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s%s:%d %s%d", n ? ", " : "", g->name,
			g->count,
			g->kind == INFERENCE__MODEL_INSTANCE_GROUP__KIND__KIND_GPU ? "gpu" : "cpu",
			g->n_gpus ? g->gpus[0] : -1);
	}
	cr_expect_str_eq(text, expected);
	inference__model_config_response__free_unpacked(m, NULL);
}

Test(kserve, groups_of_instances)
{
	expect_groups("m:1 cpu-1");
	double_worker(&f.dispatch, "cuda:1/0")->device = "cuda:1";
	double_worker(&f.dispatch, "cuda:1/1")->device = "cuda:1";
	double_worker(&f.dispatch, "cpu:0/0");
	double_worker(&f.dispatch, "cuda:2/0")->device = "cuda:2";
	model->settings.instances = 4;
	expect_groups("m:4 gpu-1");
	model->settings.devices = "cpu:0, cuda:0, cuda:1 x2, cuda:2 x1";
	expect_groups("m_0:2 gpu1, m_1:4 cpu-1, m_2:1 gpu2");
	FAULT_LOOP(small_once, (void *)"ModelConfig");
	/* It falls back. */
	model->settings.devices = "cuda:0 x2";
	expect_groups("m:4 gpu-1");
}

Test(kserve, small_calls_that_are_no_messages)
{
	static const uint8_t bad[] = "\x0a\x05";

	double_call_free(&call);
	open_call("ModelConfig");
	double_call_message(&call, bad, sizeof(bad) - 1);
	expect_status(GRPC_INTERNAL, "malformed ModelConfigRequest");
}

Test(kserve, statistics_of_what_is_not_there)
{
	double_call_free(&call);
	open_call("ModelStatistics");
	double_call_message(&call, (const uint8_t *)"\x0a\x01x", 3);
	expect_status(GRPC_INVALID_ARGUMENT, "requested model 'x' is not available");
}
