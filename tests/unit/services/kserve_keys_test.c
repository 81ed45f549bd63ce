/* Tests of kserve_keys.c and kserve_shm.c: shared memory by key, from its registering to the answer. */
#include "services/kserve_keys.h"

#include <criterion/criterion.h>

#include "key_object.h"
#include "kserve_messages.h"
#include "tests/support/failalloc.h"

#define SIZE (16u << 20)

typedef Inference__SystemSharedMemoryRegisterRequest RegisterRequest;
typedef Inference__SystemSharedMemoryStatusResponse StatusResponse;

/* Parameters of one tensor. */
struct place {
	Inference__ModelInferRequest__InferInputTensor__ParametersEntry in[3];
	Inference__ModelInferRequest__InferInputTensor__ParametersEntry *in_list[3];
	Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry out[3];
	Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry *out_list[3];
	Inference__InferParameter values[3];
};

static struct fixture f;
static struct kserve_ask ask;
static struct call call;
static struct key_object object;
static struct place places[2];

static void open_call(const char *method)
{
	double_call_free(&call);
	double_call_open(&call, fixture_method(&kserve_service, method), &f.services, &f.client);
	call.peer.loopback = true;
	call.peer.user = getuid();
}

static void send_register(const char *name, const char *key)
{
	RegisterRequest m = INFERENCE__SYSTEM_SHARED_MEMORY_REGISTER_REQUEST__INIT;
	uint8_t packed[512];

	m.name = (char *)name;
	m.key = (char *)key;
	m.offset = 10;
	m.byte_size = SIZE - 10;
	open_call("SystemSharedMemoryRegister");
	double_call_message(
		&call, packed, inference__system_shared_memory_register_request__pack(&m, packed));
	cr_assert(call.closed);
}

static void set_up(void)
{
	fixture_init(&f);
	f.dispatch.arena.limit = 64u << 20;
	kserve_model(&f);
	key_object_make(&object, "keys", SIZE);
	call.closed = true;
	send_register("r", object.key);
	cr_assert_eq(call.status, GRPC_OK, "%s", call.text);
	kserve_ask_init(&ask);
	open_call("ModelInfer");
}

static void tear_down(void)
{
	double_call_free(&call);
	key_object_remove(&object);
	fixture_deinit(&f);
}

TestSuite(kserve_keys, .init = set_up, .fini = tear_down);

static void fill_values(struct place *p, const char *name, uint64_t offset, uint64_t size)
{
	for (size_t k = 0; k < 3; k++)
		inference__infer_parameter__init(&p->values[k]);
	p->values[0].parameter_choice_case =
		INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	p->values[0].string_param = (char *)name;
	p->values[1].parameter_choice_case = p->values[2].parameter_choice_case =
		INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	p->values[1].int64_param = (int64_t)offset;
	p->values[2].int64_param = (int64_t)size;
}

static const char *const keys[] = {
	"shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"};

static void input_at(size_t i, const char *name, uint64_t offset, uint64_t size)
{
	struct place *p = &places[i];

	fill_values(p, name, offset, size);
	for (size_t k = 0; k < 3; k++) {
		inference__model_infer_request__infer_input_tensor__parameters_entry__init(
			&p->in[k]);
		p->in[k].key = (char *)keys[k];
		p->in[k].value = &p->values[k];
		p->in_list[k] = &p->in[k];
	}
	ask.inputs[i].parameters = p->in_list;
	ask.inputs[i].n_parameters = 3;
	ask.shape[i][0] = (int64_t)(size / 4);
	ask.m.n_raw_input_contents--;
	ask.raw[0] = ask.raw[1];
}

static void output_at(const char *output, const char *name, uint64_t offset, uint64_t size)
{
	size_t i = ask.m.n_outputs;
	struct place *p = &places[i];

	kserve_ask_output(&ask, output);
	fill_values(p, name, offset, size);
	for (size_t k = 0; k < 3; k++) {
		inference__model_infer_request__infer_requested_output_tensor__parameters_entry__init(
			&p->out[k]);
		p->out[k].key = (char *)keys[k];
		p->out[k].value = &p->values[k];
		p->out_list[k] = &p->out[k];
	}
	ask.outputs[i].parameters = p->out_list;
	ask.outputs[i].n_parameters = 3;
}

static void ask_it(void)
{
	kserve_ask_pack(&ask);
	cr_assert(double_call_message(&call, ask.packed, ask.n));
}

static void expect_status(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, status, "got %s", call.text);
	cr_expect_str_eq(call.text, text);
}

static void run_loop(void)
{
	uv_run(&f.loop, UV_RUN_DEFAULT);
}

/* --- Inputs ------------------------------------------------------------------------------------- */

Test(kserve_keys, an_input)
{
	struct request *r;

	cr_assert_eq(pwrite(object.fd, "0123456789abcdef", 16, 110), 16);
	input_at(0, "r", 100, 16);
	ask_it();
	cr_assert_not(call.closed, "%s", call.text);
	cr_assert_eq(double_queued(&f.dispatch), 1);
	r = double_nth(&f.dispatch, 0);
	cr_expect_arr_eq(lease_at(r->inputs[0].lease, r->inputs[0].offset), "0123456789abcdef", 16);
	cr_expect_arr_eq(lease_at(r->inputs[1].lease, r->inputs[1].offset), ask.bytes + 16, 16);
	double_echo_all(r);
	expect_status(GRPC_OK, "");
}

/* More than a turn of the loop may move. */
static void ask_for_much(void)
{
	uint32_t last = 7;

	cr_assert_eq(pwrite(object.fd, &last, 4, 10 + (4u << 20) - 4), 4);
	input_at(0, "r", 0, 4u << 20);
	ask_it();
	cr_assert_not(call.closed, "%s", call.text);
	cr_assert_eq(double_queued(&f.dispatch), 0, "not yet");
}

Test(kserve_keys, a_large_input)
{
	struct request *r;

	ask_for_much();
	run_loop();
	cr_assert_eq(double_queued(&f.dispatch), 1);
	r = double_nth(&f.dispatch, 0);
	cr_expect_eq(*(uint32_t *)lease_at(r->inputs[0].lease, (4u << 20) - 4), 7);
	double_answer(r, GRPC_INTERNAL, "so", NULL, NULL);
	expect_status(GRPC_INTERNAL, "so");
}

Test(kserve_keys, a_large_input_that_nobody_waits_for)
{
	ask_for_much();
	double_call_close(&call);
	run_loop();
	cr_expect_eq(double_queued(&f.dispatch), 0);
}

Test(kserve_keys, a_large_input_that_is_cut_short)
{
	ask_for_much();
	cr_assert_eq(ftruncate(object.fd, 2u << 20), 0);
	run_loop();
	expect_status(GRPC_INVALID_ARGUMENT,
		"shared memory region 'r' has become shorter than it was when it was registered");
}

Test(kserve_keys, a_large_input_that_dispatch_refuses)
{
	ask_for_much();
	f.dispatch.refusal = GRPC_RESOURCE_EXHAUSTED;
	run_loop();
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
}

Test(kserve_keys, unregistered_while_it_is_read)
{
	ask_for_much();
	key_regions_unregister(&f.services.keys, &call.peer, "", KEY_SYSTEM);
	run_loop();
	cr_assert_eq(double_queued(&f.dispatch), 1);
}

Test(kserve_keys, inputs_that_cannot_be)
{
	input_at(0, "r", SIZE, 16);
	ask_it();
	expect_status(GRPC_INVALID_ARGUMENT, "Invalid offset for shared memory region: 'r'");
	kserve_ask_init(&ask);
	open_call("ModelInfer");
	input_at(0, "r", SIZE - 20, 16);
	ask_it();
	expect_status(
		GRPC_INVALID_ARGUMENT, "Invalid offset + byte size for shared memory region: 'r'");
	kserve_ask_init(&ask);
	open_call("ModelInfer");
	call.peer.user++;
	input_at(0, "r", 0, 16);
	ask_it();
	expect_status(GRPC_NOT_FOUND, "Unable to find shared memory region: 'r'");
}

/* --- Outputs ------------------------------------------------------------------------------------ */

Test(kserve_keys, an_output)
{
	ModelInferResponse *m;
	uint8_t got[16];

	output_at("C", "r", 1000, 20);
	kserve_ask_output(&ask, "D");
	ask_it();
	double_echo_all(double_nth(&f.dispatch, 0));
	expect_status(GRPC_OK, "");
	m = read_answer(&call, 0);
	cr_assert_eq(m->n_outputs, 2);
	cr_assert_eq(m->n_raw_output_contents, 2);
	cr_expect_eq(m->raw_output_contents[0].len, 0);
	cr_expect_eq(m->raw_output_contents[1].len, 16);
	free_answer(m);
	cr_assert_eq(pread(object.fd, got, 16, 1010), 16);
	cr_expect_arr_eq(got, ask.bytes, 16);
}

/* An answer that is longer than a turn of the loop may move. */
static void answer_much(uint8_t *data)
{
	struct request *r = double_nth(&f.dispatch, 0);
	struct output_lease *lease = double_lease_new(&f.dispatch);
	const struct pool_output output = {
		.dtype = DTYPE_F32, .rank = 1, .dims = {1 << 20}, .data = data, .length = 4u << 20};

	double_answer(r, GRPC_OK, "", &output, lease);
	output_lease_unref(lease);
}

static void ask_for_a_large_output(uint8_t *data)
{
	memset(data, 0x77, 4u << 20);
	output_at("C", "r", 0, 4u << 20);
	ask_it();
	cr_assert_eq(double_queued(&f.dispatch), 1);
	answer_much(data);
	cr_assert_not(call.closed);
	cr_assert_eq(f.dispatch.n_output_leases, 1, "it is kept");
}

Test(kserve_keys, a_large_output)
{
	uint8_t *data = malloc(4u << 20);
	uint8_t got = 0;

	ask_for_a_large_output(data);
	run_loop();
	expect_status(GRPC_OK, "");
	cr_assert_eq(pread(object.fd, &got, 1, 10 + (4u << 20) - 1), 1);
	cr_expect_eq(got, 0x77);
	free(data);
}

Test(kserve_keys, a_large_output_that_nobody_waits_for)
{
	uint8_t *data = malloc(4u << 20);

	ask_for_a_large_output(data);
	double_call_close(&call);
	run_loop();
	cr_expect_eq(f.dispatch.n_output_leases, 0);
	free(data);
}

Test(kserve_keys, outputs_that_cannot_be)
{
	output_at("C", "r", 0, 15);
	ask_it();
	double_echo_all(double_nth(&f.dispatch, 0));
	expect_status(GRPC_INTERNAL,
		"shared memory size specified with the request for output 'C' (15 bytes) should be "
		"at least 16 bytes to hold the results");
	kserve_ask_init(&ask);
	open_call("ModelInfer");
	output_at("C", "r", SIZE, 16);
	ask_it();
	expect_status(GRPC_INVALID_ARGUMENT, "Invalid offset for shared memory region: 'r'");
	kserve_ask_init(&ask);
	open_call("ModelInfer");
	output_at("C", "r", 0, 16);
	cr_assert_eq(ftruncate(object.fd, 20), 0);
	ask_it();
	double_echo_all(double_nth(&f.dispatch, 0));
	expect_status(GRPC_INVALID_ARGUMENT,
		"shared memory region 'r' has become shorter than it was when it was registered");
}

Test(kserve_keys, not_of_models_that_answer_any_number_of_times)
{
	f.dispatch.models[0].declared.decoupled = true;
	open_call("ModelStreamInfer");
	output_at("C", "r", 0, 16);
	ask_it();
	cr_assert_eq(call.n_messages, 1);
	cr_expect_not(call.closed);
}

/* --- The calls ---------------------------------------------------------------------------------- */

static void small(const char *method, const char *data, size_t n)
{
	open_call(method);
	double_call_message(&call, (const uint8_t *)data, n);
	cr_assert(call.closed);
}

#define SMALL(method, text) small(method, text, sizeof(text) - 1)

static size_t n_listed(void)
{
	StatusResponse *m;
	size_t n;

	SMALL("SystemSharedMemoryStatus", "");
	m = inference__system_shared_memory_status_response__unpack(
		NULL, call.n_sent[0], call.sent[0]);
	n = m->n_regions;
	inference__system_shared_memory_status_response__free_unpacked(m, NULL);
	return n;
}

Test(kserve_keys, what_is_registered)
{
	StatusResponse *m;

	send_register("s", object.key);
	SMALL("SystemSharedMemoryStatus", "\x0a\x01s");
	m = inference__system_shared_memory_status_response__unpack(
		NULL, call.n_sent[0], call.sent[0]);
	cr_assert_eq(m->n_regions, 1);
	cr_expect_str_eq(m->regions[0]->key, "s");
	cr_expect_str_eq(m->regions[0]->value->key, object.key);
	cr_expect_eq(m->regions[0]->value->offset, 10);
	cr_expect_eq(m->regions[0]->value->byte_size, SIZE - 10);
	inference__system_shared_memory_status_response__free_unpacked(m, NULL);
	cr_expect_eq(n_listed(), 2);
	SMALL("CudaSharedMemoryStatus", "\x0a\x01s");
	expect_status(GRPC_NOT_FOUND,
		"The region named 's' is registered as system shared memory, not CUDA shared "
		"memory");
	SMALL("SystemSharedMemoryUnregister", "\x0a\x01x");
	expect_status(GRPC_OK, "");
	SMALL("SystemSharedMemoryUnregister", "\x0a\x01s");
	cr_expect_eq(n_listed(), 1);
	SMALL("SystemSharedMemoryUnregister", "");
	cr_expect_eq(n_listed(), 0);
}

static int infer_once(void *arg)
{
	(void)arg;
	open_call("ModelInfer");
	kserve_ask_init(&ask);
	input_at(0, "r", 100, 16);
	output_at("C", "r", 1000, 16);
	ask_it();
	if (!call.closed)
		double_echo_all(double_nth(&f.dispatch, 0));
	cr_assert(call.closed);
	double_call_free(&call);
	return call.status == GRPC_OK ? 0 : 1;
}

Test(kserve_keys, without_memory)
{
	FAULT_LOOP_KINDS(infer_once, NULL, FAIL_ALLOCATIONS);
}
