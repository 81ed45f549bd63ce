/*
 * builtin.c: the builtin models as a backend: loaded, declared and run. Worker process, any thread;
 * loads from one at a time.
 */
#include "workers/builtin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "workers/builtin_examples.h"
#include "workers/builtin_functions.h"
#include "workers/builtin_sequences.h"

/* Milliseconds of `text` (NULL: 0) or a negative number. */
static double parse_delay(const char *text)
{
	double ms = 0;

	if (text && real_parse(text, &ms))
		return -1;
	return ms <= BUILTIN_SLEEP_MS_MAX ? ms : -1;
}

/* MODELD_DTYPE_ANY: there is none of that name. */
static enum modeld_dtype parse_dtype(const char *text)
{
	static const char *const names[] = {"bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32",
		"i64", "f16", "bf16", "f32", "f64", "bytes"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], text))
			return (enum modeld_dtype)(MODELD_DTYPE_BOOL + i);
	}
	return MODELD_DTYPE_ANY;
}

/* -1 or a number at the front of *text, which is moved on. */
static bool parse_dim(const char **text, int64_t *ret_dim)
{
	uint64_t dim;

	if (!strncmp(*text, "-1", 2)) {
		*text += 2;
		*ret_dim = -1;
		return true;
	}
	if (decimal_read(*text, &dim, text) || dim > INT64_MAX)
		return false;
	*ret_dim = (int64_t)dim;
	return true;
}

/* "-1,16" into d; false when that is no shape. */
static bool parse_dims(const char *text, struct modeld_declaration *d)
{
	for (d->rank = 0; d->rank < MODELD_BACKEND_RANK_MAX; text++) {
		if (!parse_dim(&text, &d->dims[d->rank++]))
			return false;
		if (*text != ',')
			return !*text;
	}
	return false;
}

/* [parameters] dtype and dims make identity a model of one type, which can be joined where its first
 * dimension is free. */
static enum modeld_code declare(struct builtin *b, const struct modeld_model_spec *spec,
	struct modeld_model_info *info, struct modeld_error *error)
{
	const char *dtype = spec->parameter(spec, "dtype");
	const char *dims = spec->parameter(spec, "dims");
	size_t size = info->size;

	*info = b->function->info;
	info->size = size;
	if (!dtype && !dims)
		return MODELD_OK;
	b->input.size = sizeof(b->input);
	b->input.name = "INPUT0";
	b->input.dtype = dtype ? parse_dtype(dtype) : MODELD_DTYPE_ANY;
	if (!builtin_is_identity(b->function) || b->input.dtype == MODELD_DTYPE_ANY || !dims ||
		!parse_dims(dims, &b->input)) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] dtype and dims: both are expected, for the function "
			"identity, "
			"such as f32 and -1,16");
		return MODELD_INVALID;
	}
	b->output = b->input;
	b->output.name = "OUTPUT0";
	*info = (struct modeld_model_info){
		.size = size,
		.inputs = &b->input,
		.n_inputs = 1,
		.outputs = &b->output,
		.n_outputs = 1,
		.can_batch = b->input.dims[0] == -1,
	};
	return MODELD_OK;
}

/* The interface hands load() no object to keep it in; set before any load. */
static const struct modeld_host *the_host;

static const struct builtin_function *find_function(const char *name)
{
	const struct builtin_function *f = builtin_function(name);

	if (!f)
		f = builtin_example(name);
	return f ? f : builtin_sequence(name);
}

/* NULL: error says which there are. */
static const struct builtin_function *choose_function(
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	const char *name = spec->parameter(spec, "function");
	const struct builtin_function *f = find_function(name ? name : spec->name);

	if (!f)
		snprintf(error->text, sizeof(error->text),
			"builtin has no function '%.64s': identity, count, simple, add_sub, sleep, "
			"crash, hang, leak, later, fatal, repeat, simple_int8, simple_string, "
			"repeat_int32, nan_inf_output, simple_sequence, simple_dyna_sequence, "
			"simple_string_dyna_sequence or running_sum",
			name ? name : spec->name);
	return f;
}

static enum modeld_code read_delays(const struct modeld_model_spec *spec, double *ret_delay_ms,
	double *ret_load_ms, struct modeld_error *error)
{
	*ret_delay_ms = parse_delay(spec->parameter(spec, "delay_ms"));
	*ret_load_ms = parse_delay(spec->parameter(spec, "load_ms"));
	if (*ret_delay_ms < 0 || *ret_load_ms < 0) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] delay_ms and load_ms: a number from 0 to %.0f is expected",
			BUILTIN_SLEEP_MS_MAX);
		return MODELD_INVALID;
	}
	return MODELD_OK;
}

static enum modeld_code builtin_load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	const struct builtin_function *f = choose_function(spec, error);
	double delay_ms, load_ms;
	struct builtin *b;
	enum modeld_code code = f ? read_delays(spec, &delay_ms, &load_ms, error) : MODELD_INVALID;

	if (code != MODELD_OK)
		return code;
	builtin_sleep_ms(load_ms);
	b = calloc(1, sizeof(*b));
	if (!b) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	b->model = b;
	b->host = the_host;
	b->function = f;
	b->delay_ms = delay_ms;
	code = declare(b, spec, ret_info, error);
	if (code != MODELD_OK) {
		free(b);
		return code;
	}
	*ret_model = b;
	return MODELD_OK;
}

static void check_delay(
	const struct modeld_model_spec *spec, const char *key, const struct modeld_faults *faults)
{
	char text[128];

	if (parse_delay(spec->parameter(spec, key)) >= 0)
		return;
	snprintf(text, sizeof(text), "a number from 0 to %.0f is expected", BUILTIN_SLEEP_MS_MAX);
	faults->add(faults, key, text);
}

/* It has no settings. */
static void builtin_check(const struct modeld_model_spec *spec, const struct modeld_faults *faults)
{
	struct modeld_error error = {.size = sizeof(error)};
	struct modeld_model_info info = {.size = sizeof(info)};
	struct builtin b = {0};

	if (!spec)
		return;
	check_delay(spec, "delay_ms", faults);
	check_delay(spec, "load_ms", faults);
	b.function = choose_function(spec, &error);
	if (!b.function)
		faults->add(
			faults, spec->parameter(spec, "function") ? "function" : NULL, error.text);
	else if (declare(&b, spec, &info, &error))
		faults->add(faults, spec->parameter(spec, "dtype") ? "dtype" : "dims", error.text);
}

static enum modeld_code builtin_run(
	void *instance, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct builtin *b = instance;

	if (b->delay_ms > 0)
		builtin_sleep_ms(b->delay_ms);
	return b->function->run(b, batch, error);
}

static enum modeld_code builtin_instance_create(void *model,
	const struct modeld_instance_spec *spec, void **ret_instance, struct modeld_error *error)
{
	struct builtin *b = malloc(sizeof(*b));

	if (!b) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	*b = *(struct builtin *)model;
	*ret_instance = b;
	return MODELD_OK;
}

static void builtin_instance_free(void *instance)
{
	builtin_forget_sums(instance);
	free(instance);
}

static void builtin_unload(void *model)
{
	free(model);
}

static uint64_t builtin_memory_usage(void *model)
{
	const struct builtin *b = model;

	return sizeof(*b) + b->leaked_bytes;
}

static const struct modeld_backend builtin = {
	.size = sizeof(struct modeld_backend),
	.abi = MODELD_BACKEND_ABI,
	.name = "builtin",
	.load = builtin_load,
	.instance_create = builtin_instance_create,
	.instance_free = builtin_instance_free,
	.run = builtin_run,
	.unload = builtin_unload,
	.memory_usage = builtin_memory_usage,
	.instances = 1,
	.check = builtin_check,
};

const struct modeld_backend *builtin_backend(const struct modeld_host *host)
{
	the_host = host;
	return &builtin;
}
