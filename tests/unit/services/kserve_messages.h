/* kserve_messages.h: ModelInferRequests to send and answers to look into, for tests. */
#ifndef TESTS_UNIT_SERVICES_KSERVE_MESSAGES_H
#define TESTS_UNIT_SERVICES_KSERVE_MESSAGES_H

#include <criterion/criterion.h>

#include "proto/kserve/grpc_service.pb-c.h"
#include "service_fixture.h"
#include "services/kserve_service.h"

#define ASK_TENSORS 4

typedef Inference__ModelInferRequest ModelInferRequest;
typedef Inference__ModelInferResponse ModelInferResponse;

/* A request for model "m" that can be changed before it is packed: "A" and "B", f32 [4] each, raw. */
struct kserve_ask {
	ModelInferRequest m;
	Inference__ModelInferRequest__InferInputTensor inputs[ASK_TENSORS];
	Inference__ModelInferRequest__InferInputTensor *input_list[ASK_TENSORS];
	Inference__ModelInferRequest__InferRequestedOutputTensor outputs[ASK_TENSORS];
	Inference__ModelInferRequest__InferRequestedOutputTensor *output_list[ASK_TENSORS];
	Inference__InferTensorContents contents[ASK_TENSORS];
	ProtobufCBinaryData raw[ASK_TENSORS];
	Inference__ModelInferRequest__ParametersEntry parameters[100];
	Inference__ModelInferRequest__ParametersEntry *parameter_list[100];
	Inference__InferParameter values[100];
	int64_t shape[ASK_TENSORS][20];
	uint8_t bytes[4096];
	uint8_t packed[65536];
	size_t n;
};

static inline void kserve_ask_input(struct kserve_ask *a, const char *name)
{
	size_t k = a->m.n_inputs++;

	inference__model_infer_request__infer_input_tensor__init(&a->inputs[k]);
	a->inputs[k].name = (char *)name;
	a->inputs[k].datatype = (char *)"FP32";
	a->shape[k][0] = 4;
	a->inputs[k].shape = a->shape[k];
	a->inputs[k].n_shape = 1;
	a->input_list[k] = &a->inputs[k];
	a->raw[k] = (ProtobufCBinaryData){.len = 16, .data = a->bytes + 16 * k};
	a->m.n_raw_input_contents = a->m.n_inputs;
}

static inline void kserve_ask_init(struct kserve_ask *a)
{
	memset(a, 0, sizeof(*a));
	inference__model_infer_request__init(&a->m);
	for (size_t i = 0; i < sizeof(a->bytes); i++)
		a->bytes[i] = (uint8_t)(i * 31 + 7);
	a->m.model_name = (char *)"m";
	a->m.id = (char *)"id-7";
	a->m.inputs = a->input_list;
	a->m.outputs = a->output_list;
	a->m.parameters = a->parameter_list;
	a->m.raw_input_contents = a->raw;
	kserve_ask_input(a, "A");
	kserve_ask_input(a, "B");
}

static inline void kserve_ask_output(struct kserve_ask *a, const char *name)
{
	size_t k = a->m.n_outputs++;

	inference__model_infer_request__infer_requested_output_tensor__init(&a->outputs[k]);
	a->outputs[k].name = (char *)name;
	a->output_list[k] = &a->outputs[k];
}

/* Its value, to be filled in. */
static inline Inference__InferParameter *kserve_ask_parameter(struct kserve_ask *a, const char *key)
{
	size_t k = a->m.n_parameters++;

	inference__model_infer_request__parameters_entry__init(&a->parameters[k]);
	inference__infer_parameter__init(&a->values[k]);
	a->parameters[k].key = (char *)key;
	a->parameters[k].value = &a->values[k];
	a->parameter_list[k] = &a->parameters[k];
	return &a->values[k];
}

/* Typed contents of input k, to be filled in. */
static inline Inference__InferTensorContents *kserve_ask_contents(struct kserve_ask *a, size_t k)
{
	inference__infer_tensor_contents__init(&a->contents[k]);
	a->inputs[k].contents = &a->contents[k];
	return &a->contents[k];
}

static inline void kserve_ask_pack(struct kserve_ask *a)
{
	cr_assert_leq(inference__model_infer_request__get_packed_size(&a->m), sizeof(a->packed));
	a->n = inference__model_infer_request__pack(&a->m, a->packed);
}

/* Free with free_answer(). */
static inline ModelInferResponse *read_answer(const struct call *c, unsigned i)
{
	ModelInferResponse *m;

	cr_assert_lt(i, c->n_messages);
	m = inference__model_infer_response__unpack(NULL, c->n_sent[i], c->sent[i]);
	cr_assert(m, "the answer is no ModelInferResponse");
	return m;
}

static inline void free_answer(ModelInferResponse *m)
{
	inference__model_infer_response__free_unpacked(m, NULL);
}

/* A model with the inputs A and B and the outputs C and D, f32 [-1] each. */
static inline struct version *kserve_model(struct fixture *f)
{
	static const int64_t any[] = {-1};
	static const struct wire_declaration inputs[] = {
		{.name = "A", .dtype = DTYPE_F32, .rank = 1, .dims = any},
		{.name = "B", .dtype = DTYPE_F32, .rank = 1, .dims = any}};
	static const struct wire_declaration outputs[] = {
		{.name = "C", .dtype = DTYPE_F32, .rank = 1, .dims = any},
		{.name = "D", .dtype = DTYPE_F32, .rank = 1, .dims = any}};
	struct version *v = double_model(&f->dispatch, "m");

	v->settings.max_batch_size = UINT32_MAX;
	v->declared.inputs = inputs;
	v->declared.n_inputs = 2;
	v->declared.outputs = outputs;
	v->declared.n_outputs = 2;
	return v;
}

#endif
