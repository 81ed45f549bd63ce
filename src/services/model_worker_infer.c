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
#include "proto/codec.h"
#include "services/infer_region.h"
#include "services/model_worker_reply.h"

/* --- The message, for the codec --------------------------------------------------------------- */

/* A TensorRef, or a TensorData but for its bytes. */
struct tensor {
	const char *region;
	uint64_t offset;
	uint64_t size;
	const int64_t *dims;
	size_t rank;
	const char *dtype;
};

struct parameter {
	const char *key;
	const char *value;
};

struct infer_request {
	const char *model;
	const struct tensor *refs; /* one, or none */
	size_t n_refs;
	const struct tensor *data; /* one, or none */
	size_t n_data;
	const struct parameter *parameters;
	size_t n_parameters;
	const char *id;
};

/* Lengths and counts have their limits elsewhere, which can say which one it was. */
#define ANY UINT32_MAX
/* What unpacking n bytes takes at most: two bytes can be a parameter, one can be a dimension. */
#define UNPACKED_MAX(n) (8 * (size_t)(n) + 256)

static const struct codec_field ref_fields[] = {
	[1] = CODEC_TEXT(struct tensor, region, ANY),
	[2] = CODEC_NUMBER(struct tensor, offset),
	[3] = CODEC_NUMBER(struct tensor, size),
	[4] = CODEC_NUMBERS(struct tensor, dims, rank, ANY, INT64_MIN, INT64_MAX),
	[5] = CODEC_TEXT(struct tensor, dtype, ANY),
};
static const struct codec_message ref_table = CODEC_MESSAGE(struct tensor, ref_fields, NULL);

static const struct codec_field data_fields[] = {
	[2] = CODEC_NUMBERS(struct tensor, dims, rank, ANY, INT64_MIN, INT64_MAX),
	[3] = CODEC_TEXT(struct tensor, dtype, ANY),
};
static const struct codec_message data_table = CODEC_MESSAGE(struct tensor, data_fields, NULL);

static const struct codec_field parameter_fields[] = {
	[1] = CODEC_TEXT(struct parameter, key, ANY),
	[2] = CODEC_TEXT(struct parameter, value, ANY),
};
static const struct codec_message parameter_table =
	CODEC_MESSAGE(struct parameter, parameter_fields, NULL);

static const struct codec_field request_fields[] = {
	[1] = CODEC_TEXT(struct infer_request, model, ANY),
	[2] = CODEC_MESSAGES(struct infer_request, refs, n_refs, 0, 1, &ref_table),
	[3] = CODEC_MESSAGES(struct infer_request, data, n_data, 0, 1, &data_table),
	[4] = CODEC_MESSAGES(
		struct infer_request, parameters, n_parameters, 0, ANY, &parameter_table),
	[5] = CODEC_TEXT(struct infer_request, id, ANY),
};
static const struct codec_message message_table =
	CODEC_MESSAGE(struct infer_request, request_fields, NULL);

/* --- Reading it ------------------------------------------------------------------------------- */

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
	int r;

	if (m)
		return infer_set_model(i, m);
	r = infer_demand(i, name, "");
	if (r != INFER_E_MISSING)
		return r;
	if (name[0] == '\0')
		return infer_fail(&i->failure, GRPC_NOT_FOUND,
			"model_id is empty, and no model is the default: [models] default");
	return infer_fail(&i->failure, GRPC_NOT_FOUND, "model '%s' not found", name);
}

/* Of entries with the same key the last one counts. */
static bool is_last(const struct infer_request *m, size_t at)
{
	for (size_t i = at + 1; i < m->n_parameters; i++) {
		if (!strcmp(m->parameters[i].key, m->parameters[at].key))
			return false;
	}
	return true;
}

static bool is_wish(struct wishes *w, const struct parameter *p)
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

static int read_parameters(struct infer *i, const struct infer_request *m, struct wishes *w)
{
	int r;

	/* Looking for doubles is quadratic. */
	if (m->n_parameters > 2 * WIRE_PAIRS_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"%zu parameters exceed the limit of %u", m->n_parameters, WIRE_PAIRS_MAX);
	for (size_t k = 0; k < m->n_parameters; k++) {
		if (!is_last(m, k) || is_wish(w, &m->parameters[k]))
			continue;
		r = infer_add_parameter(i, m->parameters[k].key, m->parameters[k].value);
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

static int fill_shape(struct infer *i, const struct tensor *t, struct request_input *in)
{
	if (t->rank > TENSOR_RANK_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"shape of rank %zu exceeds %d", t->rank, TENSOR_RANK_MAX);
	in->rank = (uint32_t)t->rank;
	for (size_t k = 0; k < t->rank; k++) {
		if (t->dims[k] < 0)
			return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
				"dimension %zu of the shape is negative: %" PRId64, k, t->dims[k]);
		in->dims[k] = t->dims[k];
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

static int fill_ref(struct infer *i, const struct tensor *t, struct request_input *in)
{
	int r = fill_dtype(i, t->dtype, in);

	if (!r)
		r = fill_shape(i, t, in);
	if (!r)
		r = infer_region_find(i, t->region, &in->region);
	if (r)
		return r;
	in->offset = t->offset;
	in->length = t->size;
	i->n_handed = t->size;
	return 0;
}

static int fill_data(struct infer *i, const struct tensor *t, struct infer_receive *receive,
	struct request_input *in)
{
	struct infer_piece piece;
	int r = fill_dtype(i, t->dtype, in);

	if (!r)
		r = fill_shape(i, t, in);
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

static int fill_input(struct infer *i, const struct infer_request *m, struct infer_receive *receive,
	struct request_input *in)
{
	if (m->n_refs > 0 && m->n_data > 0)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"tensor_ref and tensor_data in one InferRequest");
	if (!in && (m->n_refs > 0 || m->n_data > 0))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' has no inputs, but a tensor was sent",
			version_settings(i->model)->name);
	if (!in)
		return 0;
	if (m->n_refs > 0)
		return fill_ref(i, m->refs, in);
	if (m->n_data > 0)
		return fill_data(i, m->data, receive, in);
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "Missing input tensor");
}

/* A model that was never loaded has no declaration: dispatch will refuse the request and say
 * why. */
static int fill_request(struct model_worker_infer *x, const struct infer_request *message,
	struct infer_receive *receive)
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

static int read_message(
	struct infer *i, const struct infer_request *message, struct infer_receive *receive)
{
	int r = set_id(i, message->id);

	if (!r)
		r = find_model(i, message->model);
	if (!r)
		r = fill_request((struct model_worker_infer *)i, message, receive);
	return r;
}

static int read_request(
	struct infer *i, const uint8_t *data, size_t n, struct infer_receive *receive)
{
	struct infer_request message;
	struct message_memory memory;
	struct bump bump;
	void *block;
	int r;

	message_memory_init(&memory, UNPACKED_MAX(n));
	block = message_memory_alloc(&memory, UNPACKED_MAX(n));
	if (!block) {
		message_memory_deinit(&memory);
		return infer_fail_memory(&i->failure);
	}
	bump_init(&bump, block, UNPACKED_MAX(n));
	if (codec_unpack(&message_table, data, n, &bump, &message))
		r = infer_fail(&i->failure, GRPC_INTERNAL, "malformed InferRequest");
	else
		r = read_message(i, &message, receive);
	bump_deinit(&bump);
	message_memory_deinit(&memory);
	return r;
}

const struct infer_kind model_worker_infer_kind = {
	.table = &request_table,
	.size = sizeof(struct model_worker_infer),
	.read = read_request,
	.partial = true,
	.reply = model_worker_reply,
};
