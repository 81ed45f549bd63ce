/*
 * model_worker_infer.c: reads an InferRequest. A model gets one tensor of it: its first input, or the one
 * that parameters["input"] names. Daemon process, loop thread.
 */
#include "services/model_worker_infer.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "dispatch/version_names.h"
#include "grpc/message_memory.h"
#include "handoff/handoff.h"
#include "proto/model_worker.pb-c.h"
#include "services/infer_region.h"
#include "services/model_worker_reply.h"

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__TensorData TensorData;
typedef Remotemedia__ModelRegistry__V1__TensorRef TensorRef;
typedef Remotemedia__ModelRegistry__V1__InferRequest__ParametersEntry Parameter;

#define INPUT_TENSOR_REF  REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_REF
#define INPUT_TENSOR_DATA REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA

/* InferRequest.tensor_data.data */
static const struct scanner_table request_table = {
	.name = "InferRequest",
	.outer_name = "tensor_data",
	.outer = 3,
	.tensor = 1,
	.max_fields = 4096,
};

/* Parameters that are for us: what is left is the model's. */
struct wishes {
	const char *input;  /* NULL: the first */
	const char *output; /* NULL: the first */
	struct infer_region_wish region;
};

static int set_id(struct infer *i, const char *id)
{
	size_t n = strlen(id);

	if (n == 0) {
		infer_make_id(i);
		return 0;
	}
	if (!utf8_valid(id, n))
		return infer_fail(
			&i->failure, GRPC_INVALID_ARGUMENT, "request_id is not valid UTF-8");
	return infer_set_id(i, id, n);
}

static int find_model(struct infer *i, const char *name)
{
	struct version *m = dispatch_find_version(i->services->dispatch, name, strlen(name));

	if (m)
		return infer_set_model(i, m);
	if (name[0] == '\0')
		return infer_fail(&i->failure, GRPC_NOT_FOUND,
			"model_id is empty, and no model is the default: [models] default");
	return infer_fail(&i->failure, GRPC_NOT_FOUND, "model '%s' not found", name);
}

/* Of entries with the same key the last one counts. */
static bool is_last(const InferRequest *m, size_t at)
{
	for (size_t i = at + 1; i < m->n_parameters; i++) {
		if (!strcmp(m->parameters[i]->key, m->parameters[at]->key))
			return false;
	}
	return true;
}

static bool is_wish(struct wishes *w, const Parameter *p)
{
	const struct {
		const char *key;
		const char **value;
	} keys[] = {
		{"input", &w->input},
		{"output", &w->output},
		{"output_region", &w->region.region},
		{"output_offset", &w->region.offset},
		{"output_size", &w->region.size},
	};

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
		if (!strcmp(p->key, keys[k].key)) {
			*keys[k].value = p->value;
			return true;
		}
	}
	return false;
}

static int read_parameters(struct infer *i, const InferRequest *m, struct wishes *w)
{
	int r;

	/* Looking for doubles is quadratic. */
	if (m->n_parameters > 2 * WIRE_PAIRS_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"%zu parameters exceed the limit of %u", m->n_parameters, WIRE_PAIRS_MAX);
	for (size_t k = 0; k < m->n_parameters; k++) {
		if (!is_last(m, k) || is_wish(w, m->parameters[k]))
			continue;
		r = infer_add_parameter(i, m->parameters[k]->key, m->parameters[k]->value);
		if (r)
			return r;
	}
	return 0;
}

static int choose_output(struct model_worker_infer *x, const struct wishes *w)
{
	struct infer *i = &x->infer;
	const char *model = version_settings(i->model)->name;
	char names[VERSION_NAMES_MAX];
	int r;

	x->output = 0;
	if (w->output && version_find_output(i->model, w->output, &x->output))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' has no output '%.255s'%s", model, w->output,
			version_list_outputs(i->model, names, sizeof(names)));
	if (version_declared(i->model)->n_outputs == 0)
		return infer_fail(
			&i->failure, GRPC_INVALID_ARGUMENT, "model '%s' has no output", model);
	r = request_want_output(i->request, x->output);
	assert(r == 0);
	r = infer_region_target(i, x->output, &w->region);
	/* What was found is a token, of this length. */
	if (!r && w->region.region)
		memcpy(x->region, w->region.region, sizeof(x->region));
	return r;
}

/* *ret_input is NULL for a model that has none. */
static int choose_input(struct infer *i, const struct wishes *w, struct request_input **ret_input)
{
	const struct version *m = i->model;
	const struct wire_loaded *declared = version_declared(m);
	char names[VERSION_NAMES_MAX];
	uint32_t index = 0;

	*ret_input = NULL;
	if (w->input && version_find_input(m, w->input, &index))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' has no input '%.255s'%s", version_settings(m)->name, w->input,
			version_list_inputs(m, names, sizeof(names)));
	if (declared->n_inputs == 0)
		return 0;
	if (declared->n_inputs != 1)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' needs %zu inputs, and an InferRequest carries one: use "
			"inference.GRPCInferenceService/ModelInfer",
			version_settings(m)->name, declared->n_inputs);
	*ret_input = request_input(i->request, index);
	return 0;
}

static int fill_shape(
	struct infer *i, const int32_t *shape, size_t n_shape, struct request_input *in)
{
	if (n_shape > TENSOR_RANK_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"shape of rank %zu exceeds %d", n_shape, TENSOR_RANK_MAX);
	in->rank = (uint32_t)n_shape;
	for (size_t k = 0; k < n_shape; k++) {
		if (shape[k] < 0)
			return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
				"dimension %zu of the shape is negative: %" PRId32, k, shape[k]);
		in->dims[k] = shape[k];
	}
	return 0;
}

static int fill_dtype(struct infer *i, const char *dtype, struct request_input *in)
{
	in->dtype = dtype_parse(dtype, strlen(dtype));
	if (in->dtype == DTYPE_INVALID)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "unknown dtype '%s'", dtype);
	return 0;
}

static int fill_ref(struct infer *i, const TensorRef *t, struct request_input *in)
{
	int r = fill_dtype(i, t->dtype, in);

	if (!r)
		r = fill_shape(i, t->shape, t->n_shape, in);
	if (!r)
		r = infer_region_find(i, t->region_id, &in->region);
	if (r)
		return r;
	in->offset = t->offset;
	in->length = t->size;
	i->n_handed = t->size;
	return 0;
}

static int fill_data(struct infer *i, const TensorData *t, struct infer_receive *receive,
	struct request_input *in)
{
	struct infer_piece piece;
	int r = fill_dtype(i, t->dtype, in);

	if (!r)
		r = fill_shape(i, t->shape, t->n_shape, in);
	if (r)
		return r;
	r = infer_receive_take(receive, 0, &piece);
	if (r) {
		infer_failure_move(&i->failure, &receive->failure);
		return r;
	}
	in->lease = piece.lease;
	in->offset = piece.offset;
	in->length = piece.length;
	return 0;
}

static bool has_tensor(const InferRequest *m)
{
	return m->input_case == INPUT_TENSOR_DATA || m->input_case == INPUT_TENSOR_REF;
}

static int fill_input(struct infer *i, const InferRequest *m, struct infer_receive *receive,
	struct request_input *in)
{
	if (!in && has_tensor(m))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' has no inputs, but a tensor was sent",
			version_settings(i->model)->name);
	if (!in)
		return 0;
	if (!has_tensor(m))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "Missing input tensor");
	if (m->input_case == INPUT_TENSOR_REF)
		return fill_ref(i, m->tensor_ref, in);
	return fill_data(i, m->tensor_data, receive, in);
}

/* A model that was never loaded has no declaration: dispatch will refuse the request and say
 * why. */
static int fill_request(
	struct model_worker_infer *x, const InferRequest *message, struct infer_receive *receive)
{
	struct infer *i = &x->infer;
	struct wishes wishes = {0};
	struct request_input *in = NULL;
	int r;

	if (!version_declared(i->model))
		return 0;
	r = read_parameters(i, message, &wishes);
	if (!r)
		r = choose_output(x, &wishes);
	if (!r)
		r = choose_input(i, &wishes, &in);
	if (!r)
		r = fill_input(i, message, receive, in);
	return r;
}

static int read_message(struct infer *i, const InferRequest *message, struct infer_receive *receive)
{
	int r = set_id(i, message->request_id);

	if (!r)
		r = find_model(i, message->model_id);
	if (!r)
		r = fill_request((struct model_worker_infer *)i, message, receive);
	return r;
}

static int fail_unpack(struct infer *i, const struct message_memory *memory)
{
	const struct services_settings *settings = i->services->settings;

	if (memory->out_of_memory)
		return infer_fail_memory(&i->failure);
	if (memory->exceeded)
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"InferRequest needs too much memory to be read: many small fields; "
			"[limits] max_request_metadata_bytes is %" PRIu32,
			settings->max_request_metadata_bytes);
	return infer_fail(&i->failure, GRPC_INTERNAL, "malformed InferRequest");
}

static int read_request(
	struct infer *i, const uint8_t *data, size_t n, struct infer_receive *receive)
{
	const struct services_settings *settings = i->services->settings;
	const InferRequest *message;
	struct message_memory memory;
	int r;

	message_memory_init(&memory,
		MESSAGE_MEMORY_FIRST_BYTES + (size_t)8 * settings->max_request_metadata_bytes);
	message =
		remotemedia__model_registry__v1__infer_request__unpack(&memory.allocator, n, data);
	r = message ? read_message(i, message, receive) : fail_unpack(i, &memory);
	message_memory_deinit(&memory);
	return r;
}

const struct infer_kind model_worker_infer_kind = {
	.table = &request_table,
	.size = sizeof(struct model_worker_infer),
	.read = read_request,
	.reply = model_worker_reply,
};
