/*
 * builtin.c: the builtin models, written as any backend is: against backend.h alone. A model that
 * leaks does so on purpose: it keeps no pointer to what it lost. Worker process, its one thread.
 */
#include "workers/builtin.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLEEP_MS_MAX 3600000.0
#define LEAK_MIB_MAX 1024.0
#define MIB	     (1024u * 1024u)
#define SIMPLE_WIDTH 16

struct builtin;

struct function {
	const char *name;
	enum modeld_code (*run)(
		struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error);
	struct modeld_model_info info;
};

/* A loaded model. */
struct builtin {
	const struct function *function;
	struct modeld_declaration input; /* where model.conf declares it */
	struct modeld_declaration output;
	double delay_ms;
	uint64_t leaked_bytes;
};

/* --- What the models do ------------------------------------------------------------------- */

static void sleep_ms(double ms)
{
	struct timespec left = {
		.tv_sec = (time_t)(ms / 1000.0),
		.tv_nsec = (long)(fmod(ms, 1000.0) * 1e6),
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static double bytes_value(const struct modeld_tensor *t)
{
	char text[32];
	uint32_t n;

	if (t->bytes < sizeof(n))
		return 0;
	memcpy(&n, t->data, sizeof(n));
	if (n >= sizeof(text) || n > t->bytes - sizeof(n))
		return 0;
	memcpy(text, (const char *)t->data + sizeof(n), n);
	text[n] = 0;
	return strtod(text, NULL);
}

#define AS(type)                                                                                   \
	({                                                                                         \
		type _value;                                                                       \
		memcpy(&_value, t->data, sizeof(_value));                                          \
		(double)_value;                                                                    \
	})

/* The first element as a number, never negative or NaN; 0 where there is none. */
static double first_value(const struct modeld_tensor *t)
{
	double value = 0;

	if (t->bytes == 0)
		return 0;
	switch (t->dtype) {
	case MODELD_DTYPE_BOOL:
	case MODELD_DTYPE_U8:
		value = AS(uint8_t);
		break;
	case MODELD_DTYPE_I8:
		value = AS(int8_t);
		break;
	case MODELD_DTYPE_U16:
		value = AS(uint16_t);
		break;
	case MODELD_DTYPE_I16:
		value = AS(int16_t);
		break;
	case MODELD_DTYPE_U32:
		value = AS(uint32_t);
		break;
	case MODELD_DTYPE_I32:
		value = AS(int32_t);
		break;
	case MODELD_DTYPE_U64:
		value = AS(uint64_t);
		break;
	case MODELD_DTYPE_I64:
		value = AS(int64_t);
		break;
	case MODELD_DTYPE_F32:
		value = AS(float);
		break;
	case MODELD_DTYPE_F64:
		value = AS(double);
		break;
	case MODELD_DTYPE_BYTES:
		value = bytes_value(t);
		break;
	default:
		break;
	}
	return value > 0 ? value : 0;
}

static enum modeld_code run_identity(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = &batch->inputs[0];
	void *out;

	if (!batch->wanted[0])
		return MODELD_OK;
	out = batch->output(batch, 0, in->dtype, in->dims, in->rank, in->bytes, error);
	if (!out)
		return MODELD_INTERNAL;
	/* A client may name the same memory for both. */
	if (in->bytes > 0)
		memmove(out, in->data, in->bytes);
	return MODELD_OK;
}

static enum modeld_code run_count(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	static const int64_t dims[] = {1};
	void *out;

	if (!batch->wanted[0])
		return MODELD_OK;
	out = batch->output(batch, 0, MODELD_DTYPE_U64, dims, 1, sizeof(uint64_t), error);
	if (!out)
		return MODELD_INTERNAL;
	memcpy(out, &batch->inputs[0].bytes, sizeof(uint64_t));
	return MODELD_OK;
}

/* Sums and differences wrap around. */
static void add_sub(const struct modeld_tensor *in, uint32_t *sum, uint32_t *difference)
{
	const uint32_t *x = in[0].data;
	const uint32_t *y = in[1].data;

	for (uint64_t i = 0; i < in[0].bytes / sizeof(*x); i++) {
		uint32_t a = x[i], c = y[i];

		if (sum)
			sum[i] = a + c;
		if (difference)
			difference[i] = a - c;
	}
}

static enum modeld_code run_simple(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs;
	uint32_t *out[2] = {NULL, NULL};

	if (in[0].bytes != in[1].bytes) {
		snprintf(error->text, sizeof(error->text), "INPUT0 and INPUT1 differ in size");
		return MODELD_INVALID;
	}
	for (size_t i = 0; i < 2; i++) {
		if (!batch->wanted[i])
			continue;
		out[i] = batch->output(
			batch, i, MODELD_DTYPE_I32, in[0].dims, in[0].rank, in[0].bytes, error);
		if (!out[i])
			return MODELD_INTERNAL;
	}
	add_sub(in, out[0], out[1]);
	return MODELD_OK;
}

static enum modeld_code run_sleep(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	sleep_ms(fmin(first_value(&batch->inputs[0]), SLEEP_MS_MAX));
	return run_identity(b, batch, error);
}

static enum modeld_code run_crash(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	if (first_value(&batch->inputs[0]) > 0)
		abort();
	return run_identity(b, batch, error);
}

static enum modeld_code run_hang(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	while (first_value(&batch->inputs[0]) > 0)
		pause();
	return run_identity(b, batch, error);
}

static enum modeld_code run_leak(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	double mib = fmin(first_value(&batch->inputs[0]), LEAK_MIB_MAX);
	size_t n = (size_t)(mib * MIB);
	char *lost = n > 0 ? malloc(n) : NULL;

	if (n > 0 && !lost) {
		snprintf(error->text, sizeof(error->text), "no memory left to lose %zu bytes", n);
		return MODELD_EXHAUSTED;
	}
	/* Every page, else the host would not notice. */
	if (lost)
		memset(lost, 0xa5, n);
	__asm__ volatile("" : : "r"(lost) : "memory");
	b->leaked_bytes += n;
	return run_identity(b, batch, error);
}

/* --- The backend interface ---------------------------------------------------------------- */

static const struct modeld_declaration any_input[] = {{.name = "INPUT0", .any_shape = 1}};
static const struct modeld_declaration any_output[] = {{.name = "OUTPUT0", .any_shape = 1}};
static const struct modeld_declaration count_output[] = {
	{.name = "OUTPUT0", .dtype = MODELD_DTYPE_U64, .rank = 1, .dims = {1}}};

#define SIMPLE_TENSOR(label)                                                                       \
	{                                                                                          \
		.name = (label), .dtype = MODELD_DTYPE_I32, .rank = 2, .dims = {                   \
			-1,                                                                        \
			SIMPLE_WIDTH                                                               \
		}                                                                                  \
	}

static const struct modeld_declaration simple_inputs[] = {
	SIMPLE_TENSOR("INPUT0"), SIMPLE_TENSOR("INPUT1")};
static const struct modeld_declaration simple_outputs[] = {
	SIMPLE_TENSOR("OUTPUT0"), SIMPLE_TENSOR("OUTPUT1")};

#define ANY_INFO                                                                                   \
	{                                                                                          \
		any_input, 1, any_output, 1, 0                                                     \
	}
#define SIMPLE_INFO                                                                                \
	{                                                                                          \
		simple_inputs, 2, simple_outputs, 2, 1                                             \
	}

static const struct function functions[] = {
	{"identity", run_identity, ANY_INFO},
	{"count", run_count, {any_input, 1, count_output, 1, 0}},
	{"simple", run_simple, SIMPLE_INFO},
	{"add_sub", run_simple, SIMPLE_INFO},
	{"sleep", run_sleep, ANY_INFO},
	{"crash", run_crash, ANY_INFO},
	{"hang", run_hang, ANY_INFO},
	{"leak", run_leak, ANY_INFO},
};

static const struct function *find_function(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (!strcmp(functions[i].name, name))
			return &functions[i];
	}
	return NULL;
}

/* Milliseconds of `text` (NULL: 0) or a negative number. */
static double parse_delay(const char *text)
{
	char *end;
	double ms;

	if (!text)
		return 0;
	ms = strtod(text, &end);
	return *text && !*end && ms >= 0 && ms <= SLEEP_MS_MAX ? ms : -1;
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

/* "-1,16" into d; 0 when that is no shape. */
static int parse_dims(const char *text, struct modeld_declaration *d)
{
	char *end;

	for (d->rank = 0; d->rank < MODELD_BACKEND_RANK_MAX; text = end + 1) {
		long long dim = strtoll(text, &end, 10);

		if (end == text || dim < -1 || (*end && *end != ','))
			return 0;
		d->dims[d->rank++] = dim;
		if (!*end)
			return 1;
	}
	return 0;
}

/* [parameters] dtype and dims make identity a model of one type, which can be joined where its first
 * dimension is free. */
static enum modeld_code declare(struct builtin *b, const struct modeld_model_spec *spec,
	struct modeld_model_info *info, struct modeld_error *error)
{
	const char *dtype = spec->parameter(spec, "dtype");
	const char *dims = spec->parameter(spec, "dims");

	*info = b->function->info;
	if (!dtype && !dims)
		return MODELD_OK;
	b->input.name = "INPUT0";
	b->input.dtype = dtype ? parse_dtype(dtype) : MODELD_DTYPE_ANY;
	if (b->function->run != run_identity || b->input.dtype == MODELD_DTYPE_ANY || !dims ||
		!parse_dims(dims, &b->input)) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] dtype and dims: both are expected, for the function "
			"identity, "
			"such as f32 and -1,16");
		return MODELD_INVALID;
	}
	b->output = b->input;
	b->output.name = "OUTPUT0";
	*info = (struct modeld_model_info){&b->input, 1, &b->output, 1, b->input.dims[0] == -1};
	return MODELD_OK;
}

static enum modeld_code builtin_load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	const char *name = spec->parameter(spec, "function");
	const struct function *f = find_function(name ? name : spec->name);
	double delay_ms = parse_delay(spec->parameter(spec, "delay_ms"));
	struct builtin *b;
	enum modeld_code code;

	if (!f) {
		snprintf(error->text, sizeof(error->text),
			"builtin has no function '%.64s': identity, count, simple, add_sub, sleep, "
			"crash, hang or leak",
			name ? name : spec->name);
		return MODELD_INVALID;
	}
	if (delay_ms < 0) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] delay_ms: a number from 0 to %.0f is expected", SLEEP_MS_MAX);
		return MODELD_INVALID;
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
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

static enum modeld_code builtin_run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct builtin *b = model;

	if (b->delay_ms > 0)
		sleep_ms(b->delay_ms);
	return b->function->run(b, batch, error);
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
	.abi = MODELD_BACKEND_ABI,
	.name = "builtin",
	.load = builtin_load,
	.run = builtin_run,
	.unload = builtin_unload,
	.memory_usage = builtin_memory_usage,
};

const struct modeld_backend *builtin_backend(const struct modeld_host *host)
{
	return &builtin;
}
