/*
 * builtin_functions.c: the functions of the builtin models, written against backend.h alone. What a
 * run changes is atomic: an instance is the model itself. A model that leaks does so on purpose: it
 * keeps no pointer to what it lost. Worker process, any thread.
 */
#include "workers/builtin_functions.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/digits.h"

#define LEAK_MIB_MAX	1024.0
#define MIB		(1024u * 1024u)
#define SIMPLE_WIDTH	16
#define LOOK_MS		10u /* so often a run that waits asks whether it should go on */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- What the models do ------------------------------------------------------------------- */

void builtin_sleep_ms(double ms)
{
	struct timespec left = {
		.tv_sec = (time_t)(ms / 1000.0),
		.tv_nsec = (long)(fmod(ms, 1000.0) * 1e6),
	};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* Less, once nobody waits for the batch. */
static void sleep_for(const struct modeld_batch *batch, double ms)
{
	uint64_t left = (uint64_t)fmin(fmax(ms, 0), BUILTIN_SLEEP_MS_MAX);

	for (; left >= LOOK_MS && !batch->cancelled(batch); left -= LOOK_MS)
		builtin_sleep_ms(LOOK_MS);
	if (!batch->cancelled(batch))
		builtin_sleep_ms((double)left);
}

static double bytes_value(const struct modeld_tensor *t)
{
	double value = 0;
	char text[32];
	uint32_t n;

	if (t->bytes < sizeof(n))
		return 0;
	memcpy(&n, t->data, sizeof(n));
	if (n >= sizeof(text) || n > t->bytes - sizeof(n))
		return 0;
	memcpy(text, (const char *)t->data + sizeof(n), n);
	text[n] = 0;
	return real_parse(text, &value) ? 0 : value;
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

void *builtin_output_like(const struct modeld_batch *batch, size_t index,
	const struct modeld_tensor *in, struct modeld_error *error)
{
	return batch->output(batch,
		&(struct modeld_output){
			.size = sizeof(struct modeld_output),
			.index = index,
			.dtype = in->dtype,
			.rank = in->rank,
			.dims = in->dims,
			.bytes = in->bytes,
			.writes_all = 1,
		},
		error);
}

static enum modeld_code run_identity(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	void *out;

	if (!batch->wanted[0])
		return MODELD_OK;
	out = builtin_output_like(batch, 0, in, error);
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
	out = builtin_output_like(batch, 0,
		&(struct modeld_tensor){
			.dtype = MODELD_DTYPE_U64,
			.rank = 1,
			.dims = dims,
			.bytes = sizeof(uint64_t),
		},
		error);
	if (!out)
		return MODELD_INTERNAL;
	memcpy(out, &batch->inputs[0]->bytes, sizeof(uint64_t));
	return MODELD_OK;
}

/* Sums and differences wrap around. */
static void add_sub(const struct modeld_tensor *const *in, uint32_t *sum, uint32_t *difference)
{
	const uint32_t *x = in[0]->data;
	const uint32_t *y = in[1]->data;

	for (uint64_t i = 0; i < in[0]->bytes / sizeof(*x); i++) {
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
	const struct modeld_tensor *const *in = batch->inputs;
	uint32_t *out[2] = {NULL, NULL};

	if (in[0]->bytes != in[1]->bytes) {
		snprintf(error->text, sizeof(error->text), "INPUT0 and INPUT1 differ in size");
		return MODELD_INVALID;
	}
	for (size_t i = 0; i < 2; i++) {
		if (!batch->wanted[i])
			continue;
		out[i] = builtin_output_like(batch, i, in[0], error);
		if (!out[i])
			return MODELD_INTERNAL;
	}
	add_sub(in, out[0], out[1]);
	return MODELD_OK;
}

static enum modeld_code run_sleep(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	builtin_sleep_ms(fmin(first_value(batch->inputs[0]), BUILTIN_SLEEP_MS_MAX));
	return run_identity(b, batch, error);
}

static enum modeld_code run_crash(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	if (first_value(batch->inputs[0]) > 0)
		abort();
	return run_identity(b, batch, error);
}

static enum modeld_code run_hang(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	while (first_value(batch->inputs[0]) > 0)
		pause();
	return run_identity(b, batch, error);
}

/* Whoever asks with a 1 is answered at once. */
static enum modeld_code run_until_cancelled(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	if (first_value(batch->inputs[0]) == 1)
		return run_identity(b, batch, error);
	while (!batch->cancelled(batch))
		builtin_sleep_ms(LOOK_MS);
	return MODELD_CANCELLED;
}

static enum modeld_code run_leak(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	double mib = fmin(first_value(batch->inputs[0]), LEAK_MIB_MAX);
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
	b->model->leaked_bytes += n;
	return run_identity(b, batch, error);
}

/* --- Answers that come later -------------------------------------------------------------- */

/* A run that is pending. */
struct later {
	struct builtin *model;
	const struct modeld_batch *batch;
	void (*complete)(const struct modeld_batch *batch, enum modeld_code code, const char *text);
};

static void *answer_later(void *arg)
{
	struct later *l = arg;
	struct modeld_error error = {.size = sizeof(error)};
	enum modeld_code code = run_sleep(l->model, l->batch, &error);

	l->complete(l->batch, code, error.text);
	free(l);
	return NULL;
}

static enum modeld_code run_later(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct later *l = malloc(sizeof(*l));
	pthread_t thread;

	if (l)
		*l = (struct later){b, batch, b->host->complete};
	if (!l || pthread_create(&thread, NULL, answer_later, l)) {
		free(l);
		snprintf(error->text, sizeof(error->text), "no thread can be had");
		return MODELD_EXHAUSTED;
	}
	pthread_detach(thread);
	return MODELD_PENDING;
}

static enum modeld_code run_fatal(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	if (first_value(batch->inputs[0]) > 0) {
		snprintf(error->text, sizeof(error->text), "told to say so");
		return MODELD_FATAL;
	}
	return run_identity(b, batch, error);
}

/* --- More than one answer ----------------------------------------------------------------- */

static int give_u32(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
	const void *value, struct modeld_error *error)
{
	static const int64_t dims[] = {1};
	const struct modeld_tensor like = {.dtype = dtype, .rank = 1, .dims = dims, .bytes = 4};
	void *out;

	if (!batch->wanted[index])
		return 1;
	out = builtin_output_like(batch, index, &like, error);
	if (out)
		memcpy(out, value, 4);
	return out != NULL;
}

/* An answer for each element of IN, with its place; the request's parameter delay_ms: so long between two. */
static enum modeld_code run_repeat(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const char *delay = batch->parameter(batch, "delay_ms");
	double delay_ms = delay ? strtod(delay, NULL) : 0;
	enum modeld_code code = MODELD_OK;

	for (uint32_t i = 0; code == MODELD_OK && i < in->bytes / 4; i++) {
		if (i > 0 && delay_ms > 0)
			sleep_for(batch, delay_ms);
		if (!give_u32(batch, 0, MODELD_DTYPE_I32, (const char *)in->data + 4 * i, error) ||
			!give_u32(batch, 1, MODELD_DTYPE_U32, &i, error))
			return MODELD_INTERNAL;
		code = b->host->answer(batch, error);
	}
	return code;
}

/* --- The table ---------------------------------------------------------------------------- */

static const struct modeld_declaration any_input[] = {
	{.size = sizeof(struct modeld_declaration), .name = "INPUT0", .any_shape = 1}};
static const struct modeld_declaration any_output[] = {
	{.size = sizeof(struct modeld_declaration), .name = "OUTPUT0", .any_shape = 1}};
static const struct modeld_declaration count_output[] = {{.size = sizeof(struct modeld_declaration),
	.name = "OUTPUT0",
	.dtype = MODELD_DTYPE_U64,
	.rank = 1,
	.dims = {1}}};

#define SIMPLE_TENSOR(label)                                                                       \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label),                        \
		.dtype = MODELD_DTYPE_I32, .rank = 2, .dims = {                                    \
			-1,                                                                        \
			SIMPLE_WIDTH                                                               \
		}                                                                                  \
	}

static const struct modeld_declaration simple_inputs[] = {
	SIMPLE_TENSOR("INPUT0"), SIMPLE_TENSOR("INPUT1")};
static const struct modeld_declaration simple_outputs[] = {
	SIMPLE_TENSOR("OUTPUT0"), SIMPLE_TENSOR("OUTPUT1")};

static const struct modeld_declaration repeat_input[] = {{.size = sizeof(struct modeld_declaration),
	.name = "IN",
	.dtype = MODELD_DTYPE_I32,
	.rank = 1,
	.dims = {-1}}};
static const struct modeld_declaration repeat_outputs[] = {
	{.size = sizeof(struct modeld_declaration),
		.name = "OUT",
		.dtype = MODELD_DTYPE_I32,
		.rank = 1,
		.dims = {1}},
	{.size = sizeof(struct modeld_declaration),
		.name = "IDX",
		.dtype = MODELD_DTYPE_U32,
		.rank = 1,
		.dims = {1}}};

#define INFO(inputs_, outputs_, can_batch_)                                                        \
	{                                                                                          \
		.inputs = (inputs_), .n_inputs = COUNT_OF(inputs_), .outputs = (outputs_),         \
		.n_outputs = COUNT_OF(outputs_), .can_batch = (can_batch_)                         \
	}
#define ANY_INFO    INFO(any_input, any_output, 0)
#define SIMPLE_INFO INFO(simple_inputs, simple_outputs, 1)

static const struct builtin_function functions[] = {
	{"identity", run_identity, ANY_INFO},
	{"count", run_count, INFO(any_input, count_output, 0)},
	{"simple", run_simple, SIMPLE_INFO},
	{"add_sub", run_simple, SIMPLE_INFO},
	{"sleep", run_sleep, ANY_INFO},
	{"crash", run_crash, ANY_INFO},
	{"hang", run_hang, ANY_INFO},
	{"until_cancelled", run_until_cancelled, ANY_INFO},
	{"leak", run_leak, ANY_INFO},
	{"later", run_later, ANY_INFO},
	{"fatal", run_fatal, ANY_INFO},
	{"repeat", run_repeat,
		{.inputs = repeat_input,
			.n_inputs = 1,
			.outputs = repeat_outputs,
			.n_outputs = 2,
			.decoupled = 1}},
};

const struct builtin_function *builtin_function(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(functions); i++) {
		if (!strcmp(functions[i].name, name))
			return &functions[i];
	}
	return NULL;
}

int builtin_is_identity(const struct builtin_function *f)
{
	return f->run == run_identity;
}
