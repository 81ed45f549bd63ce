/*
 * builtin_sequences.c: models that take sequences of requests, written against backend.h alone. What one of them remembers
 * of a sequence is the instance's: a step that came to another one would find nothing. Worker process, any thread.
 */
#include "workers/builtin_sequences.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))
#define ID_MAX	       256u /* bytes of a CORRID */
#define SUMS_MAX       4096u

static int32_t number(const struct modeld_tensor *t, uint64_t row)
{
	int32_t value = 0;

	if (row < t->bytes / sizeof(value))
		memcpy(&value, (const uint8_t *)t->data + row * sizeof(value), sizeof(value));
	return value;
}

static uint64_t long_number(const struct modeld_tensor *t, uint64_t row)
{
	uint64_t value = 0;

	if (row < t->bytes / sizeof(value))
		memcpy(&value, (const uint8_t *)t->data + row * sizeof(value), sizeof(value));
	return value;
}

static void *output(const struct modeld_batch *batch, size_t index, struct modeld_error *error)
{
	return batch->wanted[index] ? builtin_output_like(batch, index, batch->inputs[0], error)
				    : NULL;
}

static uint64_t rows_of(const struct modeld_batch *batch)
{
	return batch->inputs[0]->bytes / sizeof(int32_t);
}

/* --- Without a memory ------------------------------------------------------------------------- */

/* Of row i. */
typedef uint32_t row_value(const struct modeld_tensor *const *in, uint64_t i);

static enum modeld_code run_rows(
	const struct modeld_batch *batch, row_value *value, struct modeld_error *error)
{
	int32_t *out = output(batch, 0, error);

	if (!out)
		return batch->wanted[0] ? MODELD_INTERNAL : MODELD_OK;
	for (uint64_t i = 0; i < rows_of(batch); i++)
		out[i] = (int32_t)value(batch->inputs, i);
	return MODELD_OK;
}

static uint32_t simple_value(const struct modeld_tensor *const *in, uint64_t i)
{
	return (uint32_t)number(in[2], i) *
	       ((uint32_t)number(in[0], i) + (uint32_t)number(in[1], i));
}

static enum modeld_code run_simple(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	(void)b;
	return run_rows(batch, simple_value, error);
}

static uint32_t dyna_value(const struct modeld_tensor *const *in, uint64_t i)
{
	return (uint32_t)number(in[3], i) *
	       ((uint32_t)number(in[0], i) + (uint32_t)number(in[1], i) +
		       (uint32_t)number(in[2], i) * (uint32_t)long_number(in[4], i));
}

static enum modeld_code run_dyna(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	(void)b;
	return run_rows(batch, dyna_value, error);
}

/* --- With a memory of the model's ------------------------------------------------------------- */

/* One sequence that has begun. */
struct builtin_sum {
	struct builtin_sum *next;
	int32_t sum;
	char id[ID_MAX];
};

static struct builtin_sum **find_sum(struct builtin *b, const char *id)
{
	struct builtin_sum **at = &b->sums;

	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	return at;
}

static void forget_sum(struct builtin_sum **at)
{
	struct builtin_sum *gone = *at;

	*at = gone->next;
	free(gone);
}

void builtin_forget_sums(struct builtin *b)
{
	while (b->sums)
		forget_sum(&b->sums);
}

static bool read_id(const struct modeld_tensor *t, char *id)
{
	uint32_t n;

	if (t->bytes < sizeof(n))
		return false;
	memcpy(&n, t->data, sizeof(n));
	if (n >= ID_MAX || n > t->bytes - sizeof(n))
		return false;
	memcpy(id, (const uint8_t *)t->data + sizeof(n), n);
	id[n] = '\0';
	return true;
}

static enum modeld_code fail(struct modeld_error *error, enum modeld_code code, const char *text)
{
	snprintf(error->text, sizeof(error->text), "%s", text);
	return code;
}

/* The sum of a sequence, this step included. */
static enum modeld_code take_step(struct builtin *b, const struct modeld_batch *batch,
	int32_t *ret_sum, struct modeld_error *error)
{
	const struct modeld_tensor *const *in = batch->inputs;
	struct builtin_sum **at, *sum;
	char id[ID_MAX];

	if (rows_of(batch) != 1 || !read_id(in[4], id))
		return fail(error, MODELD_INVALID,
			"one row, and a CORRID of at most 255 bytes, are expected");
	at = find_sum(b, id);
	if (!*at && !number(in[1], 0))
		return fail(error, MODELD_INVALID, "this instance has not seen the sequence begin");
	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (!*at)
			return fail(error, MODELD_EXHAUSTED, "out of memory");
		memcpy((*at)->id, id, sizeof(id));
	}
	sum = *at;
	if (number(in[1], 0))
		sum->sum = 0;
	sum->sum = (int32_t)((uint32_t)sum->sum + (uint32_t)number(in[0], 0));
	*ret_sum = sum->sum;
	if (!number(in[2], 0))
		return MODELD_OK;
	*ret_sum = (int32_t)((uint32_t)sum->sum + (uint32_t)strtol(id, NULL, 10));
	forget_sum(at);
	return MODELD_OK;
}

static enum modeld_code run_string_dyna(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	int32_t sum = 0;
	enum modeld_code code = take_step(b, batch, &sum, error);
	int32_t *out = code == MODELD_OK ? output(batch, 0, error) : NULL;

	if (code != MODELD_OK || !batch->wanted[0])
		return code;
	if (!out)
		return MODELD_INTERNAL;
	*out = sum;
	return MODELD_OK;
}

/* --- With a state that comes and goes ---------------------------------------------------------- */

static enum modeld_code run_running_sum(
	struct builtin *b, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *const *in = batch->inputs;

	(void)b;
	for (size_t k = 0; k < 2; k++) {
		int32_t *out = output(batch, k, error);

		if (!out && batch->wanted[k])
			return MODELD_INTERNAL;
		for (uint64_t i = 0; out && i < rows_of(batch); i++)
			out[i] = (int32_t)((uint32_t)number(in[0], i) + (uint32_t)number(in[1], i));
	}
	return MODELD_OK;
}

/* --- The table -------------------------------------------------------------------------------- */

#define ROW(label, dtype_)                                                                         \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label), .dtype = (dtype_),     \
		.rank = 2, .dims = {                                                               \
			-1,                                                                        \
			1                                                                          \
		}                                                                                  \
	}

static const struct modeld_declaration simple_inputs[] = {ROW("INPUT", MODELD_DTYPE_I32),
	ROW("START", MODELD_DTYPE_I32), ROW("READY", MODELD_DTYPE_I32)};
static const struct modeld_declaration dyna_inputs[] = {ROW("INPUT", MODELD_DTYPE_I32),
	ROW("START", MODELD_DTYPE_I32), ROW("END", MODELD_DTYPE_I32),
	ROW("READY", MODELD_DTYPE_I32), ROW("CORRID", MODELD_DTYPE_U64)};
static const struct modeld_declaration string_dyna_inputs[] = {ROW("INPUT", MODELD_DTYPE_I32),
	ROW("START", MODELD_DTYPE_I32), ROW("END", MODELD_DTYPE_I32),
	ROW("READY", MODELD_DTYPE_I32), ROW("CORRID", MODELD_DTYPE_BYTES)};
static const struct modeld_declaration sum_inputs[] = {
	ROW("INPUT", MODELD_DTYPE_I32), ROW("INPUT_STATE", MODELD_DTYPE_I32)};
static const struct modeld_declaration outputs[] = {ROW("OUTPUT", MODELD_DTYPE_I32)};
static const struct modeld_declaration sum_outputs[] = {
	ROW("OUTPUT", MODELD_DTYPE_I32), ROW("OUTPUT_STATE", MODELD_DTYPE_I32)};

#define INFO(inputs_, outputs_)                                                                    \
	{                                                                                          \
		.inputs = (inputs_), .n_inputs = COUNT_OF(inputs_), .outputs = (outputs_),         \
		.n_outputs = COUNT_OF(outputs_), .can_batch = 1                                    \
	}

static const struct builtin_function sequences[] = {
	{"simple_sequence", run_simple, INFO(simple_inputs, outputs)},
	{"simple_dyna_sequence", run_dyna, INFO(dyna_inputs, outputs)},
	{"simple_string_dyna_sequence", run_string_dyna, INFO(string_dyna_inputs, outputs)},
	{"running_sum", run_running_sum, INFO(sum_inputs, sum_outputs)},
};

const struct builtin_function *builtin_sequence(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(sequences); i++) {
		if (!strcmp(sequences[i].name, name))
			return &sequences[i];
	}
	return NULL;
}
