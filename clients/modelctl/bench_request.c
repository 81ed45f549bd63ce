/* bench_request.c: packed once, sent many times. modelctl, one thread. */
#include "clients/modelctl/bench_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Inference__ModelMetadataResponse__TensorMetadata TensorMetadata;
typedef Inference__ModelInferRequest Request;
typedef Inference__ModelInferRequest__InferInputTensor Input;
typedef Inference__ModelInferRequest__InferInputTensor__ParametersEntry InputParameter;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor Output;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor__ParametersEntry OutputParameter;
typedef Inference__InferParameter Parameter;

#define N_PLACE 3u /* parameters that say where in shared memory a tensor is */

void bench_request_release(struct bench_request *q)
{
	free(q->data);
	q->data = NULL;
}

void bench_tensors_release(struct bench_tensors *x)
{
	for (size_t i = 0; i < x->n; i++) {
		free(x->list[i].name);
		tensor_release(&x->list[i].tensor);
	}
	x->n = 0;
}

uint64_t bench_tensors_bytes(const struct bench_tensors *x)
{
	uint64_t n = 0;

	for (size_t i = 0; i < x->n; i++)
		n += x->list[i].tensor.n;
	return n;
}

/* --- Tensors ------------------------------------------------------------------------------------ */

/* NULL after saying why not. */
static struct bench_tensor *add(struct bench_tensors *x, const char *name)
{
	struct bench_tensor *t = &x->list[x->n];

	if (x->n == BENCH_TENSORS_MAX) {
		(void)modelctl_fail(
			0, "the model has more than %u inputs or outputs", BENCH_TENSORS_MAX);
		return NULL;
	}
	*t = (struct bench_tensor){.name = strdup(name)};
	if (!t->name) {
		(void)modelctl_fail(0, "out of memory");
		return NULL;
	}
	x->n++;
	return t;
}

static int make_up(struct tensor *t, const TensorMetadata *m, uint64_t dimension)
{
	enum dtype d = dtype_parse(m->datatype, strlen(m->datatype));
	char text[256];

	if (m->n_shape > TENSOR_RANK_MAX)
		return modelctl_fail(MODELCTL_FAILED, "input %s has too many dimensions", m->name);
	t->dtype = d == DTYPE_INVALID ? DTYPE_F32 : d; /* it takes any */
	t->has_shape = true;
	t->rank = (uint32_t)m->n_shape;
	for (uint32_t k = 0; k < t->rank; k++)
		t->dims[k] = m->shape[k] >= 0	     ? m->shape[k]
			     : k == 0 && t->rank > 1 ? 1
						     : (int64_t)dimension;
	if (!tensor_fill(t, 1, true, text, sizeof(text)))
		return 0;
	return modelctl_fail(MODELCTL_FAILED, "input %s: %s", m->name, text);
}

int bench_inputs_make(
	struct bench_tensors *ret, const Inference__ModelMetadataResponse *m, uint64_t dimension)
{
	int r = 0;

	for (size_t i = 0; !r && i < m->n_inputs; i++) {
		struct bench_tensor *t = add(ret, m->inputs[i]->name);

		r = t ? make_up(&t->tensor, m->inputs[i], dimension) : MODELCTL_FAILED;
	}
	return r;
}

int bench_outputs_take(struct bench_tensors *ret, const Inference__ModelInferResponse *answer)
{
	if (answer->n_raw_output_contents != answer->n_outputs)
		return modelctl_fail(MODELCTL_FAILED, "the answer has no raw contents");
	for (size_t i = 0; i < answer->n_outputs; i++) {
		struct bench_tensor *t = add(ret, answer->outputs[i]->name);

		if (!t)
			return MODELCTL_FAILED;
		t->tensor.n = answer->raw_output_contents[i].len;
	}
	return 0;
}

/* --- The message -------------------------------------------------------------------------------- */

/* "shared_memory_region", "..._offset" and "..._byte_size". */
static const char *const place_keys[N_PLACE] = {
	"shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"};

static void set_place(Parameter values[N_PLACE], const char *region, uint64_t offset, uint64_t n)
{
	for (unsigned i = 0; i < N_PLACE; i++) {
		inference__infer_parameter__init(&values[i]);
		values[i].parameter_choice_case =
			INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
	}
	values[0].parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	values[0].string_param = (char *)region;
	values[1].int64_param = (int64_t)offset;
	values[2].int64_param = (int64_t)n;
}

/* What a request is made of, until it is packed. */
struct parts {
	Input inputs[BENCH_TENSORS_MAX];
	Input *input_list[BENCH_TENSORS_MAX];
	InputParameter input_parameters[BENCH_TENSORS_MAX][N_PLACE];
	InputParameter *input_parameter_list[BENCH_TENSORS_MAX][N_PLACE];
	Output outputs[BENCH_TENSORS_MAX];
	Output *output_list[BENCH_TENSORS_MAX];
	OutputParameter output_parameters[BENCH_TENSORS_MAX][N_PLACE];
	OutputParameter *output_parameter_list[BENCH_TENSORS_MAX][N_PLACE];
	Parameter values[2][BENCH_TENSORS_MAX][N_PLACE];
	ProtobufCBinaryData raw[BENCH_TENSORS_MAX];
};

static void place_input(struct parts *p, size_t i)
{
	for (unsigned k = 0; k < N_PLACE; k++) {
		InputParameter *x = &p->input_parameters[i][k];

		inference__model_infer_request__infer_input_tensor__parameters_entry__init(x);
		x->key = (char *)place_keys[k];
		x->value = &p->values[0][i][k];
		p->input_parameter_list[i][k] = x;
	}
	p->inputs[i].parameters = p->input_parameter_list[i];
	p->inputs[i].n_parameters = N_PLACE;
}

static void put_inputs(struct parts *p, Request *q, const struct bench_tensors *inputs,
	const struct bench_region *region)
{
	uint64_t offset = region ? region->inputs : 0;

	for (size_t i = 0; i < inputs->n; i++) {
		const struct tensor *t = &inputs->list[i].tensor;
		Input *x = &p->inputs[i];

		inference__model_infer_request__infer_input_tensor__init(x);
		x->name = inputs->list[i].name;
		x->datatype = (char *)dtype_kserve_name(t->dtype);
		x->shape = (int64_t *)t->dims;
		x->n_shape = t->rank;
		p->input_list[i] = x;
		p->raw[i] = (ProtobufCBinaryData){t->n, t->data};
		if (region) {
			set_place(p->values[0][i], region->name, offset, t->n);
			place_input(p, i);
		}
		offset += t->n;
	}
	q->inputs = p->input_list;
	q->n_inputs = inputs->n;
	q->raw_input_contents = p->raw;
	q->n_raw_input_contents = region ? 0 : inputs->n;
}

static void put_outputs(struct parts *p, Request *q, const struct bench_tensors *outputs,
	const struct bench_region *region)
{
	uint64_t offset = region->outputs;

	for (size_t i = 0; i < outputs->n; i++) {
		Output *x = &p->outputs[i];

		inference__model_infer_request__infer_requested_output_tensor__init(x);
		set_place(p->values[1][i], region->name, offset, outputs->list[i].tensor.n);
		for (unsigned k = 0; k < N_PLACE; k++) {
			OutputParameter *y = &p->output_parameters[i][k];

			inference__model_infer_request__infer_requested_output_tensor__parameters_entry__init(
				y);
			y->key = (char *)place_keys[k];
			y->value = &p->values[1][i][k];
			p->output_parameter_list[i][k] = y;
		}
		x->name = outputs->list[i].name;
		x->parameters = p->output_parameter_list[i];
		x->n_parameters = N_PLACE;
		p->output_list[i] = x;
		offset += outputs->list[i].tensor.n;
	}
	q->outputs = p->output_list;
	q->n_outputs = outputs->n;
}

int bench_request_make(struct bench_request *ret, const char *model,
	const struct bench_tensors *inputs, const struct bench_tensors *outputs,
	const struct bench_region *region)
{
	_cleanup_(freep) struct parts *p = calloc(1, sizeof(*p));
	Request q = INFERENCE__MODEL_INFER_REQUEST__INIT;

	if (!p)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	q.model_name = (char *)model;
	put_inputs(p, &q, inputs, region);
	if (region)
		put_outputs(p, &q, outputs, region);
	ret->data = malloc(inference__model_infer_request__get_packed_size(&q) + 1);
	if (!ret->data)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	ret->n = inference__model_infer_request__pack(&q, ret->data);
	return 0;
}
