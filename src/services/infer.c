/*
 * infer.c: one inference in flight.
 *
 * What the message says is read here and turned into dispatch's request; whether it fits the
 * model's declaration, dispatch checks. Of these messages a model gets one tensor: its first input,
 * or the one that parameters["input"] names.
 *
 * Invariants: request is held from infer_submit() to on_done or infer_deinit(); the id is valid as
 * long as the infer. Daemon process, loop thread.
 */
#include "services/infer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/utf8.h"
#include "dispatch/version_names.h"
#include "grpc/bump.h"
#include "handoff/handoff.h"
#include "proto/model_worker.pb-c.h"
#include "services/infer_region.h"

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__TensorData TensorData;
typedef Remotemedia__ModelRegistry__V1__TensorRef TensorRef;
typedef Remotemedia__ModelRegistry__V1__InferRequest__ParametersEntry Parameter;

#define INPUT_TENSOR_REF  REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_REF
#define INPUT_TENSOR_DATA REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA

/* InferRequest.tensor_data.data */
const struct scanner_table infer_request_table = {
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

void infer_init(struct infer *i, struct services *x, infer_done_fn on_done, void *data)
{
	i->services = x;
	i->on_done = on_done;
	i->data = data;
}

void infer_deinit(struct infer *i)
{
	if (i->request)
		request_cancel(i->request);
	i->request = request_unref(i->request);
	i->model = version_unref(i->model);
	if (i->id != i->id_inline)
		free(i->id);
	i->id = NULL;
	infer_failure_deinit(&i->failure);
}

/* An id that no other request of ours has, nor of a daemon before or beside us. */
static void make_id(struct infer *i)
{
	struct services *x = i->services;

	if (x->id_boot == 0) {
		if (getrandom(&x->id_boot, sizeof(x->id_boot), GRND_NONBLOCK) < 0)
			x->id_boot = clock_wall_ns();
		x->id_boot |= 1; /* 0: not chosen */
	}
	i->id = i->id_inline;
	hex64_write(i->id, x->id_boot);
	i->id[HEX64_DIGITS] = '-';
	i->n_id = HEX64_DIGITS + 1 + decimal_write(i->id + HEX64_DIGITS + 1, ++x->id_last);
}

static int set_id(struct infer *i, const char *id)
{
	size_t n = strlen(id);

	if (n == 0) {
		make_id(i);
		return 0;
	}
	if (!utf8_valid(id, n))
		return infer_fail(
			&i->failure, GRPC_INVALID_ARGUMENT, "request_id is not valid UTF-8");
	i->id = i->id_inline;
	if (n > sizeof(i->id_inline))
		i->id = malloc(n);
	if (!i->id)
		return infer_fail_memory(&i->failure);
	memcpy(i->id, id, n);
	i->n_id = n;
	return 0;
}

static int find_model(struct infer *i, const char *name, struct version **ret_model)
{
	struct version *m = dispatch_find_version(i->services->dispatch, name, strlen(name));

	if (m) {
		i->model = version_ref(m);
		*ret_model = m;
		return 0;
	}
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

static int add_parameter(struct infer *i, const Parameter *p)
{
	switch (request_add_parameter(i->request, p->key, p->value)) {
	case 0:
		return 0;
	case -E2BIG:
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"parameter '%.255s': at most %u parameters, keys of %u bytes and values of "
			"%u bytes can be given to a model",
			p->key, WIRE_PAIRS_MAX, WIRE_NAME_MAX, WIRE_TEXT_MAX);
	default:
		return infer_fail_memory(&i->failure);
	}
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
		r = add_parameter(i, m->parameters[k]);
		if (r)
			return r;
	}
	return 0;
}

static int choose_output(struct infer *i, struct version *m, const struct wishes *w)
{
	char names[VERSION_NAMES_MAX];
	int r;

	i->output = 0;
	if (w->output && version_find_output(m, w->output, &i->output))
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"model '%s' has no output '%.255s'%s", version_settings(m)->name, w->output,
			version_list_outputs(m, names, sizeof(names)));
	if (version_declared(m)->n_outputs == 0)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT, "model '%s' has no output",
			version_settings(m)->name);
	r = request_want_output(i->request, i->output);
	assert(r == 0);
	(void)r;
	return 0;
}

/* *ret_input is NULL for a model that has none. */
static int choose_input(struct infer *i, struct version *m, const struct wishes *w,
	struct request_input **ret_input)
{
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
static int fill_request(struct infer *i, struct version *m, const InferRequest *message,
	struct infer_receive *receive)
{
	struct wishes wishes = {0};
	struct request_input *in = NULL;
	int r;

	if (!version_declared(m))
		return 0;
	r = read_parameters(i, message, &wishes);
	if (!r)
		r = choose_output(i, m, &wishes);
	if (!r)
		r = infer_region_target(i, &wishes.region);
	if (!r)
		r = choose_input(i, m, &wishes, &in);
	if (!r)
		r = fill_input(i, message, receive, in);
	return r;
}

static void on_done(void *data, const struct request_result *result)
{
	struct infer *i = data;

	i->request = request_unref(i->request);
	if (result->status != GRPC_OK)
		infer_fail(&i->failure, result->status, "%s", result->message);
	i->on_done(i, result);
}

static int submit(struct infer *i)
{
	int r = dispatch_submit(i->services->dispatch, i->request);

	if (r == DISPATCH_E_REFUSED)
		return infer_fail(
			&i->failure, request_status(i->request), "%s", request_message(i->request));
	return r ? infer_fail_memory(&i->failure) : 0;
}

static int read_message(struct infer *i, const InferRequest *message, struct infer_receive *receive)
{
	struct version *m = NULL;
	int r = set_id(i, message->request_id);

	if (!r)
		r = find_model(i, message->model_id, &m);
	if (r)
		return r;
	if (request_new(&i->request, m, &i->origin, on_done, i))
		return infer_fail_memory(&i->failure);
	r = fill_request(i, m, message, receive);
	if (!r)
		r = submit(i);
	if (r)
		i->request = request_unref(i->request);
	else if (message->input_case == INPUT_TENSOR_REF)
		handoff_count_tensor(i->services->handoff, message->tensor_ref->size);
	return r;
}

static int fail_unpack(struct infer *i, const struct bump *b)
{
	const struct services_settings *settings = i->services->settings;

	if (b->out_of_memory)
		return infer_fail_memory(&i->failure);
	if (b->exceeded)
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"InferRequest needs too much memory to be read: many small fields; "
			"[limits] max_request_metadata_bytes is %" PRIu32,
			settings->max_request_metadata_bytes);
	return infer_fail(&i->failure, GRPC_INTERNAL, "malformed InferRequest");
}

int infer_submit(struct infer *i, const struct origin *origin, struct infer_receive *receive)
{
	const struct services_settings *settings = i->services->settings;
	const InferRequest *message;
	const uint8_t *data;
	struct bump bump;
	size_t n;
	int r = infer_receive_end(receive, &data, &n);

	i->origin = *origin;
	if (r) {
		infer_failure_move(&i->failure, &receive->failure);
		return r;
	}
	bump_init(&bump, BUMP_FIRST_BYTES + (size_t)8 * settings->max_request_metadata_bytes);
	message = remotemedia__model_registry__v1__infer_request__unpack(&bump.allocator, n, data);
	r = message ? read_message(i, message, receive) : fail_unpack(i, &bump);
	bump_deinit(&bump);
	return r;
}
