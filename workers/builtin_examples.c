/* builtin_examples.c: Triton's example models, written against backend.h alone. Worker process, any thread. */
#include "workers/builtin_examples.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH	       16
#define TEXT_MAX       32u /* characters of a number in simple_string */
#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))

static enum modeld_code invalid(struct modeld_error *error, const char *text)
{
	snprintf(error->text, sizeof(error->text), "%s", text);
	return MODELD_INVALID;
}

/* --- simple_int8 --------------------------------------------------------------------------- */

static enum modeld_code run_simple_int8(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *const *in = batch->inputs;
	const uint8_t *x = in[0]->data, *y = in[1]->data;

	(void)b;
	if (in[0]->bytes != in[1]->bytes)
		return invalid(error, "INPUT0 and INPUT1 differ in size");
	for (size_t i = 0; i < 2; i++) {
		uint8_t *out =
			batch->wanted[i] ? builtin_output_like(batch, i, in[0], error) : NULL;

		if (batch->wanted[i] && !out)
			return MODELD_INTERNAL;
		for (uint64_t k = 0; out && k < in[0]->bytes; k++)
			out[k] = (uint8_t)(i == 0 ? x[k] + y[k] : x[k] - y[k]);
	}
	return MODELD_OK;
}

/* --- simple_string ------------------------------------------------------------------------- */

/* What is left of a BYTES tensor. */
struct texts {
	const uint8_t *at;
	uint64_t n;
};

/* The next element is a whole number. */
static bool next_number(struct texts *t, long *ret_value)
{
	char text[TEXT_MAX];
	char *end;
	uint32_t n;

	if (t->n < sizeof(n))
		return false;
	memcpy(&n, t->at, sizeof(n));
	if (n >= sizeof(text) || n > t->n - sizeof(n))
		return false;
	memcpy(text, t->at + sizeof(n), n);
	text[n] = '\0';
	t->at += sizeof(n) + n;
	t->n -= sizeof(n) + n;
	*ret_value = strtol(text, &end, 10);
	return n > 0 && *end == '\0';
}

/* Sums, or differences, as a BYTES tensor; *ret_text is the caller's to free. */
static enum modeld_code combine(const struct modeld_tensor *const *in, bool difference,
	char **ret_text, size_t *ret_n, struct modeld_error *error)
{
	struct texts x = {in[0]->data, in[0]->bytes}, y = {in[1]->data, in[1]->bytes};
	/* An element is 4 bytes of length at least, and becomes one of TEXT_MAX more at most. */
	char *text = malloc(in[0]->bytes / sizeof(uint32_t) * (sizeof(uint32_t) + TEXT_MAX) + 1);
	size_t n = 0;
	long a, c;

	if (!text) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	while (x.n > 0 && y.n > 0) {
		uint32_t length;

		if (!next_number(&x, &a) || !next_number(&y, &c)) {
			free(text);
			return invalid(error, "an element of INPUT0 or INPUT1 is no number");
		}
		length = (uint32_t)snprintf(text + n + sizeof(length), TEXT_MAX, "%ld",
			(long)((unsigned long)a +
				(difference ? -(unsigned long)c : (unsigned long)c)));
		memcpy(text + n, &length, sizeof(length));
		n += sizeof(length) + length;
	}
	*ret_text = text;
	*ret_n = n;
	return MODELD_OK;
}

static enum modeld_code give_texts(
	const struct modeld_batch *batch, size_t index, struct modeld_error *error)
{
	struct modeld_tensor like = *batch->inputs[0];
	char *text = NULL;
	size_t n = 0;
	enum modeld_code code = combine(batch->inputs, index == 1, &text, &n, error);
	void *out;

	if (code != MODELD_OK)
		return code;
	like.bytes = n;
	out = builtin_output_like(batch, index, &like, error);
	if (out && n > 0)
		memcpy(out, text, n);
	free(text);
	return out ? MODELD_OK : MODELD_INTERNAL;
}

static enum modeld_code run_simple_string(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	(void)b;
	for (size_t i = 0; code == MODELD_OK && i < 2; i++) {
		if (batch->wanted[i])
			code = give_texts(batch, i, error);
	}
	return code;
}

/* --- repeat_int32 -------------------------------------------------------------------------- */

static uint32_t element(const struct modeld_tensor *t, uint64_t i)
{
	uint32_t value = 0;

	if (i < t->bytes / sizeof(value))
		memcpy(&value, (const uint8_t *)t->data + i * sizeof(value), sizeof(value));
	return value;
}

static bool give_number(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
	uint32_t value, struct modeld_error *error)
{
	static const int64_t dims[] = {1};
	const struct modeld_tensor like = {
		.dtype = dtype, .rank = 1, .dims = dims, .bytes = sizeof(value)};
	void *out;

	if (!batch->wanted[index])
		return true;
	out = builtin_output_like(batch, index, &like, error);
	if (out)
		memcpy(out, &value, sizeof(value));
	return out != NULL;
}

static enum modeld_code run_repeat_int32(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_tensor *delay = batch->inputs[1];
	enum modeld_code code = MODELD_OK;

	if (in->bytes != delay->bytes)
		return invalid(error, "IN and DELAY differ in size");
	for (uint64_t i = 0; code == MODELD_OK && i < in->bytes / sizeof(uint32_t); i++) {
		builtin_sleep_ms(fmin(element(delay, i), BUILTIN_SLEEP_MS_MAX));
		if (!give_number(batch, 0, MODELD_DTYPE_I32, element(in, i), error) ||
			!give_number(batch, 1, MODELD_DTYPE_U32, (uint32_t)i, error))
			return MODELD_INTERNAL;
		code = b->host->answer(batch, error);
	}
	builtin_sleep_ms(fmin(element(batch->inputs[2], 0), BUILTIN_SLEEP_MS_MAX));
	return code;
}

/* --- nan_inf_output ------------------------------------------------------------------------ */

static enum modeld_code run_nan_inf(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	static const int64_t dims[] = {2};
	const float values[] = {NAN, INFINITY};
	const struct modeld_tensor like = {
		.dtype = MODELD_DTYPE_F32, .rank = 1, .dims = dims, .bytes = sizeof(values)};
	void *out;

	(void)b;
	if (!batch->wanted[0])
		return MODELD_OK;
	out = builtin_output_like(batch, 0, &like, error);
	if (out)
		memcpy(out, values, sizeof(values));
	return out ? MODELD_OK : MODELD_INTERNAL;
}

/* --- The table ----------------------------------------------------------------------------- */

#define ROWS(label, dtype_)                                                                        \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label), .dtype = (dtype_),     \
		.rank = 2, .dims = {                                                               \
			-1,                                                                        \
			WIDTH                                                                      \
		}                                                                                  \
	}
#define LIST(label, dtype_, n)                                                                     \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label), .dtype = (dtype_),     \
		.rank = 1, .dims = {                                                               \
			n                                                                          \
		}                                                                                  \
	}

static const struct modeld_declaration int8_inputs[] = {
	ROWS("INPUT0", MODELD_DTYPE_I8), ROWS("INPUT1", MODELD_DTYPE_I8)};
static const struct modeld_declaration int8_outputs[] = {
	ROWS("OUTPUT0", MODELD_DTYPE_I8), ROWS("OUTPUT1", MODELD_DTYPE_I8)};
static const struct modeld_declaration string_inputs[] = {
	ROWS("INPUT0", MODELD_DTYPE_BYTES), ROWS("INPUT1", MODELD_DTYPE_BYTES)};
static const struct modeld_declaration string_outputs[] = {
	ROWS("OUTPUT0", MODELD_DTYPE_BYTES), ROWS("OUTPUT1", MODELD_DTYPE_BYTES)};
static const struct modeld_declaration repeat_inputs[] = {LIST("IN", MODELD_DTYPE_I32, -1),
	LIST("DELAY", MODELD_DTYPE_U32, -1), LIST("WAIT", MODELD_DTYPE_U32, 1)};
static const struct modeld_declaration repeat_outputs[] = {
	LIST("OUT", MODELD_DTYPE_I32, 1), LIST("IDX", MODELD_DTYPE_U32, 1)};
static const struct modeld_declaration nan_inputs[] = {LIST("INPUT0", MODELD_DTYPE_F32, -1)};
static const struct modeld_declaration nan_outputs[] = {LIST("OUTPUT0", MODELD_DTYPE_F32, 2)};

#define INFO(inputs_, outputs_)                                                                    \
	.inputs = (inputs_), .n_inputs = COUNT_OF(inputs_), .outputs = (outputs_),                 \
	.n_outputs = COUNT_OF(outputs_)

static const struct builtin_function examples[] = {
	{"simple_int8", run_simple_int8, {INFO(int8_inputs, int8_outputs), .can_batch = 1}},
	{"simple_string", run_simple_string, {INFO(string_inputs, string_outputs), .can_batch = 1}},
	{"repeat_int32", run_repeat_int32, {INFO(repeat_inputs, repeat_outputs), .decoupled = 1}},
	{"nan_inf_output", run_nan_inf, {INFO(nan_inputs, nan_outputs)}},
};

const struct builtin_function *builtin_example(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(examples); i++) {
		if (!strcmp(examples[i].name, name))
			return &examples[i];
	}
	return NULL;
}
