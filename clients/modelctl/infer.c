/* infer.c: `modelctl infer`: a model once, by inference.GRPCInferenceService. modelctl, one thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "clients/modelctl/infer_inputs.h"
#include "clients/modelctl/infer_outputs.h"
#include "clients/modelctl/kserve_call.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/server_status.h"

#define REPLY_MAX      UINT32_MAX
#define PARAMETERS_MAX 64u
#define OUTPUTS_MAX    64u

typedef Inference__ModelMetadataResponse Metadata;
typedef Inference__ModelInferRequest Request;
typedef Inference__ModelInferRequest__InferInputTensor Input;
typedef Inference__ModelInferRequest__InferRequestedOutputTensor Output;
typedef Inference__ModelInferRequest__ParametersEntry Parameter;
typedef Inference__ModelInferResponse Response;

static const char infer_usage[] =
	"usage: modelctl infer [MODEL[:VERSION]] --input [NAME=]FILE... [options]\n"
	"       modelctl infer [MODEL[:VERSION]] --fill VALUE [options]\n"
	"\n"
	"Runs MODEL (default: the server's default model) once and prints its outputs.\n"
	"\n"
	"  -i, --input [NAME=]FILE  may be repeated; without NAME: the next input.\n"
	"                           FILE is by its suffix\n"
	"                             .npy        of the input's type and shape\n"
	"                             .npz        a member for each input\n"
	"                             .json       a list of lists; or an object: a value\n"
	"                                         for each input, or a request as\n"
	"                                         KServe's REST has it\n"
	"                             .txt        each line is an element of type bytes\n"
	"                             .pgm, .ppm, .png, .jpg  a picture\n"
	"                           else raw bytes; - is standard input, by its content\n"
	"  -x, --text [NAME=]TEXT   an input of one element of type bytes\n"
	"  -f, --fill VALUE         all inputs are made up: every element VALUE, or 0, 1,\n"
	"                           2, ... for `ramp`\n"
	"  -s, --shape [NAME=]N,... shape; default: from the file, else as the model\n"
	"                           declares it\n"
	"  -d, --dtype [NAME=]TYPE  f32, i64, u8, bytes, ...; default likewise\n"
	"  -p, --parameter KEY=VAL  a parameter of the request; input=NAME says whose the\n"
	"                           input without a NAME is, output=NAME which output is\n"
	"                           wanted; may be repeated\n"
	"  -o, --output [NAME=]FILE write an output (the first, without NAME) as .npy, or\n"
	"                           all as .npz; else its raw bytes; may be repeated\n"
	"\n"
	"Options of every command: see modelctl --help; -o json, table or wide is the\n"
	"format here, too.\n";

struct infer {
	struct modelctl *m; /* borrow */
	char *model;	    /* own; NULL: the default one */
	const char *version;
	struct infer_asked asked;
	struct infer_inputs inputs;	/* own */
	const char *files[OUTPUTS_MAX]; /* [NAME=]FILE of outputs */
	size_t n_files;
	Output wanted[OUTPUTS_MAX];
	Output *wanted_list[OUTPUTS_MAX];
	size_t n_wanted;
	Parameter parameters[PARAMETERS_MAX];
	Parameter *parameter_list[PARAMETERS_MAX];
	Inference__InferParameter values[PARAMETERS_MAX];
	size_t n_parameters;
};

static void infer_release(struct infer *x)
{
	infer_inputs_release(&x->inputs);
	free(x->model);
}

/* --- The command line --------------------------------------------------------------------------- */

static int too_many(const char *what, unsigned limit)
{
	return modelctl_fail(MODELCTL_USAGE, "more than %u %s", limit, what);
}

/* A number is one, true and false are what they are, anything else is text. */
static void set_value(Inference__InferParameter *p, char *text)
{
	bool negative = text[0] == '-';
	uint64_t n;

	inference__infer_parameter__init(p);
	p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
	p->string_param = text;
	if (!strcmp(text, "true") || !strcmp(text, "false")) {
		p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
		p->bool_param = text[0] == 't';
	} else if (!decimal_parse(text + negative, &n) && n <= INT64_MAX) {
		p->parameter_choice_case = INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
		p->int64_param = negative ? -(int64_t)n : (int64_t)n;
	}
}

static int want_output(struct infer *x, char *name)
{
	Output *o = &x->wanted[x->n_wanted];

	if (x->n_wanted == OUTPUTS_MAX)
		return too_many("outputs", OUTPUTS_MAX);
	inference__model_infer_request__infer_requested_output_tensor__init(o);
	o->name = name;
	x->wanted_list[x->n_wanted++] = o;
	return 0;
}

static int add_parameter(struct infer *x, char *text)
{
	char *equals = strchr(text, '=');
	Parameter *p = &x->parameters[x->n_parameters];

	if (!equals || equals == text)
		return modelctl_fail(
			MODELCTL_USAGE, "--parameter '%s': KEY=VALUE is expected", text);
	*equals = 0;
	if (!strcmp(text, "output"))
		return want_output(x, equals + 1);
	if (!strcmp(text, "input")) {
		x->asked.default_input = equals + 1;
		return 0;
	}
	if (x->n_parameters == PARAMETERS_MAX)
		return too_many("parameters", PARAMETERS_MAX);
	inference__model_infer_request__parameters_entry__init(p);
	set_value(&x->values[x->n_parameters], equals + 1);
	p->key = text;
	p->value = &x->values[x->n_parameters];
	x->parameter_list[x->n_parameters++] = p;
	return 0;
}

static int add_given(struct infer *x, char what, const char *value)
{
	struct infer_asked *a = &x->asked;

	if (a->n_given == sizeof(a->given) / sizeof(a->given[0]))
		return too_many("inputs, shapes and types", (unsigned)a->n_given);
	a->given[a->n_given] = (struct infer_given){what, value};
	return infer_given_check(&a->given[a->n_given++]);
}

static int add_file(struct infer *x, const char *value)
{
	if (x->n_files == OUTPUTS_MAX)
		return too_many("outputs", OUTPUTS_MAX);
	x->files[x->n_files++] = value;
	return 0;
}

static bool is_format(const char *value)
{
	return !strcmp(value, "json") || !strcmp(value, "table") || !strcmp(value, "wide");
}

static int take_option(void *data, int c, char *value)
{
	struct infer *x = data;

	switch (c) {
	case 'i':
	case 'x':
	case 's':
	case 'd':
		return add_given(x, (char)c, value);
	case 'f':
		x->asked.fill = value;
		return 0;
	case 'p':
		return add_parameter(x, value);
	case 'F':
		return add_file(x, value);
	case 'o':
		return is_format(value) ? -1 : add_file(x, value);
	default:
		return -1;
	}
}

static int parse_options(struct infer *x, int argc, char **argv)
{
	static const struct option options[] = {
		{"input", required_argument, NULL, 'i'},
		{"text", required_argument, NULL, 'x'},
		{"fill", required_argument, NULL, 'f'},
		{"shape", required_argument, NULL, 's'},
		{"dtype", required_argument, NULL, 'd'},
		{"parameter", required_argument, NULL, 'p'},
		{"output", required_argument, NULL, 'F'},
		{0},
	};
	const struct modelctl_line line = {
		.usage = infer_usage,
		.options = options,
		.take = take_option,
		.data = x,
		.n_max = 1,
		.arguments = "one MODEL at most",
	};

	return modelctl_parse(x->m, argc, argv, &line);
}

/* MODEL[:VERSION] */
static int take_model(struct infer *x, const char *argument)
{
	char *colon;

	x->model = strdup(argument);
	if (!x->model)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	colon = strrchr(x->model, ':');
	if (colon)
		*colon++ = 0;
	x->version = colon ? colon : "";
	return 0;
}

/* An exit code, or -1 to go on. */
static int parse(struct infer *x, int argc, char **argv)
{
	bool has_input = false;
	int r = parse_options(x, argc, argv);

	if (r >= 0)
		return r;
	for (size_t i = 0; i < x->asked.n_given; i++)
		has_input |= x->asked.given[i].what == 'i' || x->asked.given[i].what == 'x';
	if (has_input == (x->asked.fill != NULL))
		return modelctl_fail(MODELCTL_USAGE, "--input and --text, or --fill, is needed");
	r = optind < argc ? take_model(x, argv[optind]) : 0;
	return r ? r : -1;
}

/* --- The call ----------------------------------------------------------------------------------- */

/* The server's default model, which its status names. */
static int default_model(struct infer *x, struct grpc_client *c)
{
	_cleanup_(server_status_freep) Modeld__Control__V1__ServerStatusResponse *status = NULL;
	int r = server_status_fetch(x->m, c, &status);

	if (r)
		return r;
	if (!*status->default_model)
		return modelctl_fail(MODELCTL_USAGE, "there is no default model: say which MODEL");
	return take_model(x, status->default_model);
}

static int call(const struct infer *x, struct grpc_client *c, Request *q, Response **ret)
{
	Input inputs[INFER_INPUTS_MAX];
	Input *list[INFER_INPUTS_MAX];
	ProtobufCBinaryData raw[INFER_INPUTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < x->inputs.n; i++) {
		const struct tensor *t = &x->inputs.list[i].tensor;

		if (!t->data)
			continue;
		inference__model_infer_request__infer_input_tensor__init(&inputs[n]);
		inputs[n].name = (char *)x->inputs.list[i].name;
		inputs[n].datatype = (char *)dtype_kserve_name(t->dtype);
		inputs[n].shape = (int64_t *)t->dims;
		inputs[n].n_shape = t->rank;
		raw[n] = (ProtobufCBinaryData){t->n, t->data};
		list[n] = &inputs[n];
		n++;
	}
	q->inputs = list;
	q->raw_input_contents = raw;
	q->n_inputs = q->n_raw_input_contents = n;
	return kserve_call_large(x->m, c, "ModelInfer", &q->base,
		&inference__model_infer_response__descriptor, REPLY_MAX, (void **)ret);
}

static int ask(const struct infer *x, struct grpc_client *c, Response **ret)
{
	Request q = INFERENCE__MODEL_INFER_REQUEST__INIT;

	q.model_name = x->model;
	q.model_version = (char *)x->version;
	q.parameters = (Parameter **)x->parameter_list;
	q.n_parameters = x->n_parameters;
	q.outputs = (Output **)x->wanted_list;
	q.n_outputs = x->n_wanted;
	return call(x, c, &q, ret);
}

/* Not where an output itself goes to standard output. */
static bool prints(const struct infer *x)
{
	for (size_t i = 0; i < x->n_files; i++) {
		const char *equals = strchr(x->files[i], '=');

		if (!strcmp(equals ? equals + 1 : x->files[i], "-"))
			return false;
	}
	return true;
}

static int show(const struct infer *x, const Response *response, uint64_t took_ns)
{
	int r = infer_outputs_check(response);

	if (r)
		return r;
	if (prints(x))
		infer_outputs_print(response, x->m->json);
	if (prints(x) && !x->m->json)
		(void)printf("took %.1f us\n", (double)took_ns / 1000);
	for (size_t i = 0; !r && i < x->n_files; i++)
		r = infer_outputs_write(response, x->files[i]);
	return r;
}

static int run(struct infer *x, struct grpc_client *c)
{
	Metadata *metadata = NULL;
	Response *response = NULL;
	uint64_t began_ns;
	int r = x->model ? 0 : default_model(x, c);

	if (!r)
		r = kserve_metadata(x->m, c, x->model, x->version, &metadata);
	if (!r)
		r = infer_inputs_make(&x->inputs, metadata, &x->asked);
	began_ns = clock_ns();
	if (!r)
		r = ask(x, c, &response);
	if (!r)
		r = show(x, response, clock_ns() - began_ns);
	inference__model_metadata_response__free_unpacked(metadata, NULL);
	inference__model_infer_response__free_unpacked(response, NULL);
	return r;
}

int command_infer(struct modelctl *m, int argc, char **argv)
{
	_cleanup_(grpc_client_freep) struct grpc_client *c = NULL;
	_cleanup_(infer_release) struct infer x = {.m = m, .version = ""};
	int r = parse(&x, argc, argv);

	if (r >= 0)
		return r;
	r = modelctl_connect(m, &c);
	return r ? r : run(&x, c);
}
