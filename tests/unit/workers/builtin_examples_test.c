/* Tests of builtin_examples.c through backend.h, as any backend is used. */
#include "workers/builtin_examples.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "tests/support/failalloc.h"
#include "workers/builtin.h"

#define ANSWERS_MAX 4

struct rig {
	struct modeld_batch batch;
	struct modeld_tensor inputs[3];
	const struct modeld_tensor *in[3];
	uint8_t wanted[2];
	uint8_t out[2][512];
	uint64_t n_out[2];
	bool refuse; /* outputs */
	int32_t said[ANSWERS_MAX];
	unsigned n_said;
	struct modeld_error error;
};

static struct rig g;

static const char *no_parameter(const struct modeld_model_spec *spec, const char *key)
{
	(void)spec;
	(void)key;
	return NULL;
}

static void *output(const struct modeld_batch *batch, const struct modeld_output *want,
	struct modeld_error *error)
{
	(void)batch;
	(void)error;
	cr_assert_leq(want->bytes, sizeof(g.out[0]));
	g.n_out[want->index] = want->bytes;
	return g.refuse ? NULL : g.out[want->index];
}

static enum modeld_code answer(const struct modeld_batch *batch, struct modeld_error *error)
{
	(void)batch;
	(void)error;
	if (g.n_said == ANSWERS_MAX)
		return MODELD_CANCELLED;
	memcpy(&g.said[g.n_said++], g.out[0], 4);
	return MODELD_OK;
}

static void input(size_t i, enum modeld_dtype dtype, const void *data, uint64_t n)
{
	static const int64_t dims[] = {1, 16};

	g.inputs[i] = (struct modeld_tensor){.size = sizeof(g.inputs[i]),
		.dtype = dtype,
		.rank = 2,
		.dims = dims,
		.data = data,
		.bytes = n};
	g.in[i] = &g.inputs[i];
}

/* Load the model of that name, run it once with the inputs. */
static enum modeld_code run(const char *name)
{
	static const struct modeld_host host = {
		.size = sizeof(host), .abi = MODELD_BACKEND_ABI, .answer = answer};
	const struct modeld_backend *backend = builtin_backend(&host);
	const struct modeld_model_spec spec = {
		.size = sizeof(spec), .name = name, .parameter = no_parameter};
	struct modeld_model_info info = {.size = sizeof(info)};
	enum modeld_code code;
	void *model;

	g.error.size = sizeof(g.error);
	if (backend->load(&spec, &model, &info, &g.error))
		return MODELD_EXHAUSTED;
	g.batch = (struct modeld_batch){.size = sizeof(g.batch),
		.inputs = g.in,
		.n_inputs = info.n_inputs,
		.wanted = g.wanted,
		.n_outputs = info.n_outputs,
		.output = output};
	code = backend->run(model, &g.batch, &g.error);
	backend->unload(model);
	return code;
}

static void set_up(void)
{
	memset(&g, 0, sizeof(g));
	g.wanted[0] = g.wanted[1] = 1;
}

TestSuite(builtin_examples, .init = set_up);

Test(builtin_examples, simple_int8)
{
	input(0, MODELD_DTYPE_I8, "\x01\x7f", 2);
	input(1, MODELD_DTYPE_I8, "\x02\x01", 2);
	cr_assert_eq(run("simple_int8"), MODELD_OK);
	cr_expect_arr_eq(g.out[0], "\x03\x80", 2);
	cr_expect_arr_eq(g.out[1], "\xff\x7e", 2);
	g.refuse = true;
	cr_expect_neq(run("simple_int8"), MODELD_OK);
	g.wanted[0] = g.wanted[1] = 0;
	cr_expect_eq(run("simple_int8"), MODELD_OK);
	input(1, MODELD_DTYPE_I8, "", 1);
	cr_expect_eq(run("simple_int8"), MODELD_INVALID);
}

#define BYTES(i, text) input(i, MODELD_DTYPE_BYTES, text, sizeof(text) - 1)

Test(builtin_examples, simple_string)
{
	BYTES(0, "\2\0\0\0"
		 "40\1\0\0\0"
		 "1");
	BYTES(1, "\1\0\0\0"
		 "2\2\0\0\0"
		 "-3");
	cr_assert_eq(run("simple_string"), MODELD_OK, "%s", g.error.text);
	cr_assert_eq(g.n_out[0], 12);
	cr_expect_arr_eq(g.out[0],
		"\2\0\0\0"
		"42\2\0\0\0"
		"-2",
		12);
	cr_expect_arr_eq(g.out[1],
		"\2\0\0\0"
		"38\1\0\0\0"
		"4",
		11);
	g.refuse = true;
	cr_expect_eq(run("simple_string"), MODELD_INTERNAL);
}

Test(builtin_examples, what_is_no_number)
{
	static const struct {
		const char *data;
		size_t n;
	} bad[] = {{"\0\0\0", 3}, {"\0\0\0\0", 4},
		{"\5\0\0\0"
		 "12",
			6},
		{"\1\0\0\0x", 5}, {"\xff\xff\xff\xff", 4}};

	BYTES(0, "\1\0\0\0"
		 "1");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		input(1, MODELD_DTYPE_BYTES, bad[i].data, bad[i].n);
		cr_expect_eq(run("simple_string"), MODELD_INVALID, "%zu", i);
	}
	BYTES(1, "");
	cr_expect_eq(run("simple_string"), MODELD_OK);
	cr_expect_eq(g.n_out[0], 0);
}

Test(builtin_examples, repeat_int32)
{
	const int32_t values[] = {5, -6, 7};
	const uint32_t delays[] = {0, 0, 0}, wait = 0;

	input(0, MODELD_DTYPE_I32, values, sizeof(values));
	input(1, MODELD_DTYPE_U32, delays, sizeof(delays));
	input(2, MODELD_DTYPE_U32, &wait, sizeof(wait));
	cr_assert_eq(run("repeat_int32"), MODELD_OK);
	cr_assert_eq(g.n_said, 3);
	cr_expect_arr_eq(g.said, values, sizeof(values));
	cr_expect_arr_eq(g.out[1], "\2\0\0\0", 4, "the place of the last");
	cr_expect_eq(run("repeat_int32"), MODELD_CANCELLED, "nobody listens any more");
	g.refuse = true;
	cr_expect_eq(run("repeat_int32"), MODELD_INTERNAL);
	input(1, MODELD_DTYPE_U32, delays, 4);
	cr_expect_eq(run("repeat_int32"), MODELD_INVALID);
}

Test(builtin_examples, nan_inf_output)
{
	float values[2];

	input(0, MODELD_DTYPE_F32, "", 0);
	cr_assert_eq(run("nan_inf_output"), MODELD_OK);
	cr_assert_eq(g.n_out[0], sizeof(values));
	memcpy(values, g.out[0], sizeof(values));
	cr_expect(isnan(values[0]));
	cr_expect(isinf(values[1]));
	g.refuse = true;
	cr_expect_eq(run("nan_inf_output"), MODELD_INTERNAL);
	g.wanted[0] = 0;
	cr_expect_eq(run("nan_inf_output"), MODELD_OK);
}

static int add_texts(void *arg)
{
	(void)arg;
	BYTES(0, "\1\0\0\0"
		 "1");
	BYTES(1, "\1\0\0\0"
		 "2");
	return run("simple_string") == MODELD_OK ? 0 : 1;
}

Test(builtin_examples, without_memory)
{
	FAULT_LOOP(add_texts, NULL);
}
