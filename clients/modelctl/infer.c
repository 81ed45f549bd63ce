/*
 * infer.c: `modelctl infer`: one tensor in, one out, by ModelWorkerService. modelctl, one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "clients/modelctl/json.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/server_status.h"
#include "clients/modelctl/tensor_file.h"
#include "proto/model_worker.pb-c.h"

#define INFER_PATH     "/remotemedia.model_registry.v1.ModelWorkerService/Infer"
#define REPLY_MAX      UINT32_MAX
#define PARAMETERS_MAX 64
#define SHOWN_MAX      64 /* elements that are printed */

typedef Remotemedia__ModelRegistry__V1__InferRequest InferRequest;
typedef Remotemedia__ModelRegistry__V1__InferResponse InferResponse;
typedef Remotemedia__ModelRegistry__V1__TensorData TensorData;
typedef Remotemedia__ModelRegistry__V1__InferRequest__ParametersEntry Parameter;

static const char infer_usage[] =
	"usage: modelctl infer [MODEL] --input FILE | --fill VALUE [options]\n"
	"\n"
	"Runs MODEL (default: the server's default model) once and prints its first\n"
	"output.\n"
	"\n"
	"  -i, --input FILE         .npy, .pgm (grey values as f32), or raw bytes\n"
	"  -f, --fill VALUE         generated data: every element VALUE, or 0, 1, 2,\n"
	"                           ... for `ramp`\n"
	"  -s, --shape N,N,...      shape; default: from the file, else as the model\n"
	"                           declares it\n"
	"  -d, --dtype TYPE         f32, i64, u8, bytes, ...; default likewise\n"
	"  -p, --parameter KEY=VAL  a parameter of the request (input=NAME and\n"
	"                           output=NAME choose tensors); may be repeated\n"
	"  -o, --output FILE        write the output's raw bytes there\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

struct infer {
	struct modelctl *m; /* borrow */
	const char *model;
	const char *input;
	const char *fill;
	const char *output;
	struct tensor tensor;
	Parameter parameters[PARAMETERS_MAX];
	Parameter *list[PARAMETERS_MAX];
	size_t n_parameters;
};

static int add_parameter(struct infer *x, char *text)
{
	char *equals = strchr(text, '=');
	Parameter *p = &x->parameters[x->n_parameters];

	if (!equals || equals == text)
		return modelctl_fail(
			MODELCTL_USAGE, "--parameter '%s': KEY=VALUE is expected", text);
	if (x->n_parameters == PARAMETERS_MAX)
		return modelctl_fail(MODELCTL_USAGE, "more than %d parameters", PARAMETERS_MAX);
	*equals = 0;
	remotemedia__model_registry__v1__infer_request__parameters_entry__init(p);
	p->key = text;
	p->value = equals + 1;
	x->list[x->n_parameters++] = p;
	return 0;
}

static int infer_option(struct infer *x, int c, char *value)
{
	switch (c) {
	case 'i':
		x->input = value;
		return 0;
	case 'f':
		x->fill = value;
		return 0;
	case 'o':
		x->output = value;
		return 0;
	case 's':
		if (!tensor_parse_shape(&x->tensor, value))
			return 0;
		return modelctl_fail(
			MODELCTL_USAGE, "--shape '%s': numbers and commas are expected", value);
	case 'd':
		x->tensor.dtype = dtype_parse(value, strlen(value));
		if (x->tensor.dtype != DTYPE_INVALID)
			return 0;
		return modelctl_fail(MODELCTL_USAGE, "--dtype '%s' is unknown", value);
	case 'p':
		return add_parameter(x, value);
	default:
		return -1;
	}
}

/* 0 to go on, -1: help was printed, else an exit code. */
static int parse(struct infer *x, int argc, char **argv)
{
	static const struct option longs[] = {
		MODELCTL_OPTIONS,
		{"input", required_argument, NULL, 'i'},
		{"fill", required_argument, NULL, 'f'},
		{"shape", required_argument, NULL, 's'},
		{"dtype", required_argument, NULL, 'd'},
		{"parameter", required_argument, NULL, 'p'},
		{"output", required_argument, NULL, 'o'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, MODELCTL_SHORT "i:f:s:d:p:", longs, NULL)) != -1) {
		int r = c == 'o' ? -1 : modelctl_option(x->m, c, optarg);

		if (r < 0)
			r = infer_option(x, c, optarg);
		if (r < 0)
			return fputs(infer_usage, c == 'h' ? stdout : stderr) < 0 || c != 'h'
				       ? MODELCTL_USAGE
				       : -1;
		if (r)
			return r;
	}
	x->model = optind < argc ? argv[optind] : "";
	if (argc - optind > 1)
		return modelctl_fail(MODELCTL_USAGE, "infer takes one MODEL at most");
	if (!x->input == !x->fill)
		return modelctl_fail(MODELCTL_USAGE, "one of --input and --fill is needed");
	return 0;
}

/* The declaration that the tensor goes to: the input that parameters name, else the first. */
static const Modeld__Control__V1__TensorStatus *declaration(
	const struct infer *x, const Modeld__Control__V1__ModelStatus *m)
{
	const char *name = NULL;

	for (size_t i = 0; i < x->n_parameters; i++) {
		if (!strcmp(x->list[i]->key, "input"))
			name = x->list[i]->value;
	}
	for (size_t i = 0; i < m->n_inputs; i++) {
		if (!name || !strcmp(m->inputs[i]->name, name))
			return m->inputs[i];
	}
	return NULL;
}

/* Complete dtype and shape from what the model declares. Unknown models are the server's to refuse. */
static int fit(struct infer *x, struct grpc_client *c)
{
	_cleanup_(server_status_freep) Modeld__Control__V1__ServerStatusResponse *status = NULL;
	const Modeld__Control__V1__TensorStatus *d = NULL;
	char text[256];
	int r = server_status_fetch(x->m, c, &status);

	if (r)
		return r;
	if (!*x->model)
		x->model = status->default_model;
	for (size_t i = 0; i < status->n_models && !d; i++) {
		if (!strcmp(status->models[i]->name, x->model))
			d = declaration(x, status->models[i]);
	}
	r = d ? tensor_fit(&x->tensor, dtype_parse(d->dtype, strlen(d->dtype)), d->any_shape,
			d->dims, d->n_dims, text, sizeof(text))
	      : tensor_fit(&x->tensor, DTYPE_INVALID, true, NULL, 0, text, sizeof(text));
	if (!r && x->fill) {
		bool ramp = !strcmp(x->fill, "ramp");
		double value = 0;

		if (!ramp && real_parse(x->fill, &value))
			return modelctl_fail(MODELCTL_USAGE,
				"--fill '%s': a number or `ramp` is expected", x->fill);
		r = tensor_fill(&x->tensor, value, ramp, text, sizeof(text));
	}
	if (r)
		return modelctl_fail(MODELCTL_USAGE, "%s", text);
	/* status goes; the name must stay. */
	x->model = strdup(x->model);
	return x->model ? 0 : modelctl_fail(MODELCTL_FAILED, "out of memory");
}

/* --- Printing ----------------------------------------------------------------------------------- */

static uint64_t elements(const TensorData *t, enum dtype d)
{
	return dtype_size(d) ? t->data.len / dtype_size(d) : 0;
}

static void print_tensor(const TensorData *t)
{
	enum dtype d = dtype_parse(t->dtype, strlen(t->dtype));
	int64_t dims[TENSOR_RANK_MAX];
	size_t rank = t->n_shape < TENSOR_RANK_MAX ? t->n_shape : TENSOR_RANK_MAX;
	char text[256];

	for (size_t i = 0; i < rank; i++)
		dims[i] = t->shape[i];
	(void)printf("%s%s, %zu bytes\n", t->dtype, shape_format(dims, rank, text, sizeof(text)),
		t->data.len);
	for (uint64_t i = 0; i < elements(t, d) && i < SHOWN_MAX; i++) {
		tensor_element(d, t->data.data, i, text, sizeof(text));
		(void)printf("%s%s", i ? " " : "", text);
	}
	if (elements(t, d) > 0)
		(void)puts(elements(t, d) > SHOWN_MAX ? " ..." : "");
}

static void print_json(const InferResponse *r)
{
	const TensorData *t = r->tensor_data;
	enum dtype d = dtype_parse(t->dtype, strlen(t->dtype));
	char text[64];
	struct json j;

	json_init(&j, stdout);
	json_open(&j, NULL, '{');
	json_string(&j, "request_id", r->request_id);
	json_string(&j, "dtype", t->dtype);
	json_open(&j, "shape", '[');
	for (size_t i = 0; i < t->n_shape; i++)
		json_i64(&j, NULL, t->shape[i]);
	json_close(&j, ']');
	json_u64(&j, "bytes", t->data.len);
	json_open(&j, "data", '[');
	for (uint64_t i = 0; i < elements(t, d); i++) {
		tensor_element(d, t->data.data, i, text, sizeof(text));
		json_number(&j, NULL, text);
	}
	json_close(&j, ']');
	json_open(&j, "metadata", '{');
	for (size_t i = 0; i < r->n_metadata; i++)
		json_string(&j, r->metadata[i]->key, r->metadata[i]->value);
	json_close(&j, '}');
	json_close(&j, '}');
	json_end(&j);
}

static int write_output(const char *path, const TensorData *t)
{
	FILE *f = fopen(path, "wb");
	bool ok = f && fwrite(t->data.data, 1, t->data.len, f) == t->data.len;

	if (f && fclose(f))
		ok = false;
	return ok ? 0 : modelctl_fail(MODELCTL_FAILED, "cannot write %s", path);
}

static int show(const struct infer *x, const InferResponse *r)
{
	if (x->m->json) {
		print_json(r);
	} else {
		print_tensor(r->tensor_data);
		for (size_t i = 0; i < r->n_metadata; i++)
			(void)printf("%s%s=%s", i ? " " : "", r->metadata[i]->key,
				r->metadata[i]->value);
		(void)putchar('\n');
	}
	return x->output ? write_output(x->output, r->tensor_data) : MODELCTL_OK;
}

static int print_response(const struct infer *x, const struct buf *reply)
{
	InferResponse *r = remotemedia__model_registry__v1__infer_response__unpack(
		NULL, reply->len, reply->data);
	int code;

	if (r && r->output_case ==
			 REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_RESPONSE__OUTPUT_TENSOR_DATA)
		code = show(x, r);
	else
		code = modelctl_fail(MODELCTL_FAILED, "the reply has no tensor");
	remotemedia__model_registry__v1__infer_response__free_unpacked(r, NULL);
	return code;
}

static int run(struct infer *x, struct grpc_client *c)
{
	_cleanup_(buf_deinit) struct buf reply = {.max = REPLY_MAX};
	_cleanup_(freep) uint8_t *packed = NULL;
	InferRequest request = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INIT;
	TensorData tensor = REMOTEMEDIA__MODEL_REGISTRY__V1__TENSOR_DATA__INIT;
	int32_t shape[TENSOR_RANK_MAX];
	struct grpc_piece piece = {0};
	int r;

	for (uint32_t i = 0; i < x->tensor.rank; i++) {
		if (x->tensor.dims[i] > INT32_MAX)
			return modelctl_fail(MODELCTL_USAGE,
				"a dimension of %" PRId64 ": the limit is %d", x->tensor.dims[i],
				INT32_MAX);
		shape[i] = (int32_t)x->tensor.dims[i];
	}
	tensor.n_shape = x->tensor.rank;
	tensor.shape = shape;
	tensor.dtype = (char *)dtype_name(x->tensor.dtype);
	tensor.data.data = x->tensor.data;
	tensor.data.len = x->tensor.n;
	request.model_id = (char *)x->model;
	request.input_case = REMOTEMEDIA__MODEL_REGISTRY__V1__INFER_REQUEST__INPUT_TENSOR_DATA;
	request.tensor_data = &tensor;
	request.n_parameters = x->n_parameters;
	request.parameters = x->list;
	packed = malloc(
		remotemedia__model_registry__v1__infer_request__get_packed_size(&request) + 1);
	if (!packed)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	piece.n = remotemedia__model_registry__v1__infer_request__pack(&request, packed);
	piece.data = packed;
	r = modelctl_call(x->m, c, INFER_PATH, &piece, 1, &reply);
	return r ? r : print_response(x, &reply);
}

/* Read the file; a dtype and a shape of the command line win over the file's own. */
static int read_input(struct infer *x, char *text, size_t cap)
{
	const struct tensor given = x->tensor;
	int r = tensor_read(&x->tensor, x->input, text, cap);

	if (r)
		return r;
	if (given.dtype != DTYPE_INVALID)
		x->tensor.dtype = given.dtype;
	if (given.has_shape) {
		x->tensor.has_shape = true;
		x->tensor.rank = given.rank;
		memcpy(x->tensor.dims, given.dims, sizeof(given.dims));
	}
	return 0;
}

int command_infer(struct modelctl *m, int argc, char **argv)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	struct infer x = {.m = m};
	char text[256];
	int r = parse(&x, argc, argv);

	if (r)
		return r < 0 ? MODELCTL_OK : r;
	if (x.input && read_input(&x, text, sizeof(text)))
		return modelctl_fail(MODELCTL_FAILED, "%s", text);
	r = modelctl_connect(m, &c);
	if (!r) {
		r = fit(&x, c);
		if (!r) {
			r = run(&x, c);
			free((char *)x.model);
		}
	}
	tensor_release(&x.tensor);
	return r;
}
