/*
 * shared.c: tensors in this process's memory on the GPU, which a worker opens by its handle (CudaSharedMemoryRegister), as
 * clients have them that were written for Triton. Of memory that another process leaves behind, too. One thread.
 */
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/grpc_client.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "tests/gpu/check/check.h"

#define SERVICE	 "/inference.GRPCInferenceService/"
#define ADDRESS	 "CHECK_ADDRESS"
#define BYTES	 (16 * MIB) /* of the largest tensor */
#define IN_AT	 100u	    /* where it lies: nothing is aligned */
#define OUT_AT	 (BYTES + 1001)
#define REGION	 (40 * MIB)
#define TEXT_MAX 300

typedef Inference__InferParameter Parameter;
typedef Inference__ModelInferRequest InferRequest;
typedef Inference__ModelInferRequest__InferInputTensor Input;
typedef Inference__ModelInferRequest__InferInputTensor__ParametersEntry InputEntry;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor Output;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry OutputEntry;
typedef Inference__CudaSharedMemoryRegisterRequest RegisterRequest;
typedef Inference__CudaSharedMemoryUnregisterRequest UnregisterRequest;

struct shared {
	struct grpc_client *client; /* own */
	cudaStream_t stream;	    /* own */
	cudaIpcMemHandle_t handle;
	unsigned char *there; /* own: REGION bytes of the GPU */
	unsigned char *here;  /* own: what is sent, and what came */
	char text[TEXT_MAX];  /* what the last call ended with */
};

static bool shared_open(struct shared *s, const char *address)
{
	void *there = NULL;
	cudaError_t error;

	*s = (struct shared){.here = malloc(2 * BYTES)};
	if (!s->here || grpc_client_new(&s->client, address, 5 * NS_PER_S, s->text, TEXT_MAX))
		return false;
	error = cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);
	if (error == cudaSuccess)
		error = cudaMalloc(&there, REGION);
	s->there = there;
	if (error == cudaSuccess)
		error = cudaIpcGetMemHandle(&s->handle, there);
	snprintf(s->text, TEXT_MAX, "%s", cudaGetErrorName(error));
	return error == cudaSuccess;
}

static void shared_close(struct shared *s)
{
	grpc_client_free(s->client);
	if (s->there)
		(void)cudaFree(s->there);
	if (s->stream)
		(void)cudaStreamDestroy(s->stream);
	free(s->here);
}

/* --- Calls -------------------------------------------------------------------------------- */

/* Its status, with its message in s->text. */
static enum grpc_status call(struct shared *s, const char *path, const ProtobufCMessage *message)
{
	uint8_t *data = malloc(protobuf_c_message_get_packed_size(message) + 1);
	const struct grpc_piece piece = {
		.data = data, .n = data ? protobuf_c_message_pack(message, data) : 0};
	const struct grpc_call_options options = {
		.path = path,
		.pieces = &piece,
		.n_pieces = 1,
		.timeout_ns = 30 * NS_PER_S,
		.max_message_bytes = MIB,
	};
	enum grpc_status status = GRPC_UNKNOWN;
	struct grpc_call *k = NULL;

	snprintf(s->text, TEXT_MAX, "the connection is lost");
	if (data && grpc_call_new(&k, s->client, &options) == 0 &&
		grpc_client_run(s->client, k, CLOCK_NO_DEADLINE) == 0) {
		status = grpc_call_status(k);
		snprintf(s->text, TEXT_MAX, "%s%s%s", grpc_status_name((int)status),
			status == GRPC_OK ? "" : " ", grpc_call_message(k));
		s->text[strcspn(s->text, "\n")] = 0;
	}
	grpc_call_free(k);
	free(data);
	return status;
}

static enum grpc_status enter(
	struct shared *s, const char *name, const cudaIpcMemHandle_t *handle, uint64_t bytes)
{
	RegisterRequest q = INFERENCE__CUDA_SHARED_MEMORY_REGISTER_REQUEST__INIT;

	q.name = (char *)name;
	q.raw_handle = (ProtobufCBinaryData){sizeof(*handle), (uint8_t *)handle};
	q.byte_size = bytes;
	return call(s, SERVICE "CudaSharedMemoryRegister", &q.base);
}

static enum grpc_status leave(struct shared *s, const char *name)
{
	UnregisterRequest q = INFERENCE__CUDA_SHARED_MEMORY_UNREGISTER_REQUEST__INIT;

	q.name = (char *)name;
	return call(s, SERVICE "CudaSharedMemoryUnregister", &q.base);
}

/* Where a tensor is, as parameters of it. */
static void fill_place(Parameter values[3], const char *region, size_t bytes, uint64_t offset)
{
	for (int i = 0; i < 3; i++) {
		inference__infer_parameter__init(&values[i]);
		values[i].parameter_choice_case =
			INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	}
	values[0].parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	values[0].string_param = (char *)region;
	values[1].int64_param = (int64_t)bytes;
	values[2].int64_param = (int64_t)offset;
}

/* identity, from IN_AT to OUT_AT of a region. */
static enum grpc_status infer(struct shared *s, const char *region, size_t bytes)
{
	static const char *const keys[] = {
		"shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"};
	InferRequest q = INFERENCE__MODEL_INFER_REQUEST__INIT;
	Input in = INFERENCE__MODEL_INFER_REQUEST__INFER_INPUT_TENSOR__INIT;
	Output out = INFERENCE__MODEL_INFER_REQUEST__INFER_REQUESTED_OUTPUT_TENSOR__INIT;
	Input *inputs[] = {&in};
	Output *outputs[] = {&out};
	InputEntry from[3], *froms[3];
	OutputEntry to[3], *tos[3];
	Parameter values[2][3];
	int64_t shape[] = {(int64_t)bytes};

	fill_place(values[0], region, bytes, IN_AT);
	fill_place(values[1], region, bytes, OUT_AT);
	for (int i = 0; i < 3; i++) {
		inference__model_infer_request__infer_input_tensor__parameters_entry__init(
			&from[i]);
		inference__model_infer_request__infer_requested_output_tensor__parameters_entry__init(
			&to[i]);
		from[i].key = to[i].key = (char *)keys[i];
		from[i].value = &values[0][i];
		to[i].value = &values[1][i];
		froms[i] = &from[i];
		tos[i] = &to[i];
	}
	in.name = (char *)"INPUT0";
	in.datatype = (char *)"UINT8";
	in.shape = shape;
	in.n_shape = 1;
	in.n_parameters = out.n_parameters = 3;
	in.parameters = froms;
	out.name = (char *)"OUTPUT0";
	out.parameters = tos;
	q.model_name = (char *)"identity";
	q.n_inputs = q.n_outputs = 1;
	q.inputs = inputs;
	q.outputs = outputs;
	return call(s, SERVICE "ModelInfer", &q.base);
}

/* --- What is true ------------------------------------------------------------------------- */

static bool copied(struct shared *s, void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
	return cudaMemcpyAsync(to, from, n, kind, s->stream) == cudaSuccess &&
	       cudaStreamSynchronize(s->stream) == cudaSuccess;
}

/* What lies in this process's memory comes out there, too. */
static bool is_right(struct shared *s, const char *region, size_t bytes)
{
	unsigned char *came = s->here + BYTES;

	check_fill(s->here, bytes, (uint32_t)bytes + 5);
	memset(came, 0, bytes);
	return copied(s, s->there + IN_AT, s->here, bytes, cudaMemcpyHostToDevice) &&
	       copied(s, s->there + OUT_AT, came, bytes, cudaMemcpyHostToDevice) &&
	       infer(s, region, bytes) == GRPC_OK &&
	       copied(s, came, s->there + OUT_AT, bytes, cudaMemcpyDeviceToHost) &&
	       !memcmp(came, s->here, bytes);
}

static void say_right(struct check *c, struct shared *s, size_t bytes)
{
	bool right = is_right(s, "here", bytes);

	check_true(c, right, "identity, %zu bytes from and to memory of a client's on the GPU: %s",
		bytes, s->text);
}

static void refusals(struct check *c, struct shared *s)
{
	cudaIpcMemHandle_t nothing;
	enum grpc_status status;

	check_fill(&nothing, sizeof(nothing), 7);
	status = enter(s, "nothing", &nothing, 4096);
	check_true(
		c, status == GRPC_INVALID_ARGUMENT, "a handle of nothing is refused: %s", s->text);
	status = enter(s, "more", &s->handle, REGION + 64 * MIB);
	check_true(
		c, status == GRPC_INVALID_ARGUMENT, "more than there is is refused: %s", s->text);
}

/* A process that ends without a word leaves its region behind. */
static void owner_ends(struct check *c, struct shared *s)
{
	bool left = check_true(
		c, check_child(c, "owner", NULL) == 0, "another process has a region, and ends");
	bool right;

	if (left) {
		(void)infer(s, "left", 4096);
		check_say(c, "- a request that names what it left: %s", s->text);
	}
	right = is_right(s, "here", 4096);
	check_true(c, right, "the next answer for others is right: %s", s->text);
}

static bool run(void *data)
{
	return infer(data, "here", BYTES) == GRPC_OK;
}

void check_shared(struct check *c, const char *address)
{
	struct shared s;
	bool open = shared_open(&s, address) && setenv(ADDRESS, address, 1) == 0;

	if (check_true(c, open, "a handle of memory on the GPU is made: %s", s.text) &&
		check_true(c, enter(&s, "here", &s.handle, REGION) == GRPC_OK,
			"a worker opens it: %s", s.text)) {
		say_right(c, &s, 1);
		say_right(c, &s, 100000);
		say_right(c, &s, BYTES);
		refusals(c, &s);
		owner_ends(c, &s);
		if (c->measure_ns > 0)
			bare_compare_latency(c, "in memory on the GPU", BYTES, run, &s);
		check_true(c, leave(&s, "") == GRPC_OK, "all is given back: %s", s.text);
		check_true(c, infer(&s, "here", 1) == GRPC_NOT_FOUND, "and is not there then: %s",
			s.text);
	}
	shared_close(&s);
}

int shared_child(void)
{
	const char *address = getenv(ADDRESS);
	struct shared s;

	if (!address || !shared_open(&s, address))
		return 1;
	if (enter(&s, "left", &s.handle, REGION) != GRPC_OK || !is_right(&s, "left", 4096)) {
		fprintf(stderr, "check: %s\n", s.text);
		return 2;
	}
	/* Nothing is given back. */
	_exit(0);
}
