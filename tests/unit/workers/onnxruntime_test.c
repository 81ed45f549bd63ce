/*
 * onnxruntime_test.c: runs of the onnxruntime backend as the worker sees them, through backend.h,
 * with the models of tests/models/onnx (tests/models/make_onnx.py) and the real ONNX Runtime of
 * `scripts/setup run`. A missing ONNX Runtime is a failure.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/workers/fake_onnx.h"

TestSuite(onnxruntime, .init = onnx_open, .timeout = 120);

static const struct {
	const char *name;
	enum modeld_dtype dtype;
	uint64_t size;
} dtypes[] = {
	{"bool", MODELD_DTYPE_BOOL, 1},
	{"u8", MODELD_DTYPE_U8, 1},
	{"u16", MODELD_DTYPE_U16, 2},
	{"u32", MODELD_DTYPE_U32, 4},
	{"u64", MODELD_DTYPE_U64, 8},
	{"i8", MODELD_DTYPE_I8, 1},
	{"i16", MODELD_DTYPE_I16, 2},
	{"i32", MODELD_DTYPE_I32, 4},
	{"i64", MODELD_DTYPE_I64, 8},
	{"f16", MODELD_DTYPE_F16, 2},
	{"bf16", MODELD_DTYPE_BF16, 2},
	{"f32", MODELD_DTYPE_F32, 4},
	{"f64", MODELD_DTYPE_F64, 8},
};

Test(onnxruntime, every_element_type)
{
	static const int64_t dims[] = {2, 3};
	uint8_t data[48];
	struct onnx_model f;
	struct onnx_run r;
	char name[32];

	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
		for (size_t k = 0; k < sizeof(data); k++)
			data[k] = dtypes[i].dtype == MODELD_DTYPE_BOOL ? k & 1 : (uint8_t)(k + 1);
		snprintf(name, sizeof(name), "identity_%s", dtypes[i].name);
		onnx_load(&f, name);
		cr_assert_eq(f.info.n_inputs, 1);
		cr_assert_eq(f.info.inputs[0].dtype, dtypes[i].dtype, "%s", name);
		cr_assert_eq(f.info.outputs[0].dtype, dtypes[i].dtype, "%s", name);
		cr_assert(f.info.can_batch);
		onnx_prepare(&r, &f);
		onnx_input(&r, 0, dtypes[i].dtype, dims, 2, data, 6 * dtypes[i].size);
		onnx_run_ok(&r, &f);
		cr_assert_eq(r.out[0].dtype, dtypes[i].dtype);
		cr_assert_eq(r.out[0].bytes, 6 * dtypes[i].size);
		cr_assert_arr_eq(r.out[0].data, data, 6 * dtypes[i].size, "%s", name);
		onnx_done(&r);
		onnx_unload(&f);
	}
}

/* "", "a" and a zero byte in the middle, then 300 bytes. */
static uint64_t make_strings(uint8_t *out)
{
	static const uint8_t head[] = {
		0, 0, 0, 0, 1, 0, 0, 0, 'a', 3, 0, 0, 0, 'x', 0, 'y', 44, 1, 0, 0};

	memcpy(out, head, sizeof(head));
	memset(out + sizeof(head), 'z', 300);
	return sizeof(head) + 300;
}

Test(onnxruntime, strings)
{
	static const int64_t dims[] = {2, 2};
	struct onnx_model f;
	uint8_t data[512];
	uint64_t n = make_strings(data);
	struct onnx_run r;

	onnx_load(&f, "identity_bytes");
	cr_assert_eq(f.info.inputs[0].dtype, MODELD_DTYPE_BYTES);
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_BYTES, dims, 2, data, n);
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].dtype, MODELD_DTYPE_BYTES);
	cr_assert_eq(r.out[0].bytes, n);
	cr_assert_arr_eq(r.out[0].data, data, n);
	onnx_done(&r);
	onnx_unload(&f);
}

/* The host checks them; a backend writes nowhere else all the same. */
Test(onnxruntime, strings_that_do_not_add_up)
{
	static const int64_t dims[] = {2, 2}, huge[] = {INT64_MAX, 3};
	struct onnx_model f;
	uint8_t data[512];
	uint64_t n = make_strings(data);
	struct onnx_run r;

	onnx_load(&f, "identity_bytes");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_BYTES, dims, 2, data, n - 1);
	cr_assert_eq(onnx_run(&r, &f), MODELD_INVALID);
	cr_assert(strstr(f.error.text, "input 'x': element 3 of"), "%s", f.error.text);
	onnx_input(&r, 0, MODELD_DTYPE_BYTES, dims, 2, data, 22);
	cr_assert_eq(onnx_run(&r, &f), MODELD_INVALID);
	onnx_input(&r, 0, MODELD_DTYPE_BYTES, huge, 2, data, n);
	cr_assert_neq(onnx_run(&r, &f), MODELD_OK);
	cr_assert_eq(r.out[0].calls, 0);
	onnx_unload(&f);
}

Test(onnxruntime, parameters_mean_nothing)
{
	static const int64_t dims[] = {1, 4};
	float a[4] = {1, 2, 3, 4};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "add_sub");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, a, sizeof(a));
	onnx_input(&r, 1, MODELD_DTYPE_F32, dims, 2, a, sizeof(a));
	r.parameter = "ouput";
	cr_assert_eq(onnx_run(&r, &f), MODELD_INVALID);
	cr_assert(strstr(f.error.text, "parameter 'ouput' means nothing"), "%s", f.error.text);
	r.parameter = NULL;
	onnx_run_ok(&r, &f);
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, bools_are_zero_or_one)
{
	static const int64_t dims[] = {1, 3};
	static const uint8_t data[] = {0, 1, 2};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "identity_bool");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_BOOL, dims, 2, data, 3);
	cr_assert_eq(onnx_run(&r, &f), MODELD_INVALID);
	cr_assert(strstr(f.error.text, "input 'x': an element of a bool"), "%s", f.error.text);
	onnx_unload(&f);
}

/* The host changes the input while it gives the output's memory. That shows in the result if the
 * input is read where it lies and if the memory was asked for ahead of the run. */
Test(onnxruntime, nothing_is_copied)
{
	static const int64_t dims[] = {2, 4};
	float a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8] = {1, 1, 1, 1, 1, 1, 1, 1};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "add_sub");
	onnx_prepare(&r, &f);
	r.on_output = onnx_overwrite_input;
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, a, sizeof(a));
	onnx_input(&r, 1, MODELD_DTYPE_F32, dims, 2, b, sizeof(b));
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].calls, 1);
	cr_assert_eq(r.out[1].calls, 1);
	cr_assert_eq(((float *)r.out[0].data)[0], 101);
	cr_assert_eq(((float *)r.out[1].data)[0], 99);
	cr_assert_eq(((float *)r.out[0].data)[7], 9);
	cr_assert_eq(((float *)r.out[1].data)[7], 7);
	onnx_done(&r);
	onnx_unload(&f);
}

/* A client may change memory that it shares at any time: numbers that may be indices are copied
 * first, and never lie in memory that the host gives. */
Test(onnxruntime, shared_memory)
{
	static const char *const names[] = {"identity_f32", "identity_i32"};
	static const enum modeld_dtype types[] = {MODELD_DTYPE_F32, MODELD_DTYPE_I32};
	static const int64_t dims[] = {1, 2};

	for (size_t shared = 0; shared < 2; shared++) {
		for (size_t i = 0; i < 2; i++) {
			float x[2] = {1, 2};
			struct onnx_model f;
			struct onnx_run r;

			onnx_load(&f, names[i]);
			onnx_prepare(&r, &f);
			r.on_output = onnx_overwrite_input;
			onnx_input(&r, 0, types[i], dims, 2, x, sizeof(x));
			r.inputs[0].shared = (int)shared;
			onnx_run_ok(&r, &f);
			cr_assert_eq(((float *)r.out[0].data)[0], i == 0 ? 100 : 1, "%s", names[i]);
			cr_assert_eq(((float *)r.out[0].data)[1], 2);
			onnx_done(&r);
			onnx_unload(&f);
		}
	}
}

Test(onnxruntime, shared_bools_are_checked)
{
	static const int64_t dims[] = {1, 3};
	static const uint8_t data[] = {0, 1, 2};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "identity_bool");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_BOOL, dims, 2, data, 3);
	r.inputs[0].shared = 1;
	cr_assert_eq(onnx_run(&r, &f), MODELD_INVALID);
	onnx_input(&r, 0, MODELD_DTYPE_BOOL, (const int64_t[]){1, 2}, 2, data, 2);
	r.inputs[0].shared = 1;
	onnx_run_ok(&r, &f);
	cr_assert_arr_eq(r.out[0].data, data, 2);
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, only_what_is_wanted)
{
	static const int64_t dims[] = {1, 4};
	float a[4] = {1, 2, 3, 4}, b[4] = {4, 3, 2, 1};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "add_sub");
	cr_assert_eq(f.info.n_inputs, 2);
	cr_assert_eq(f.info.n_outputs, 2);
	cr_assert_str_eq(f.info.inputs[1].name, "b");
	cr_assert_str_eq(f.info.outputs[1].name, "difference");
	onnx_prepare(&r, &f);
	r.wanted[0] = 0;
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, a, sizeof(a));
	onnx_input(&r, 1, MODELD_DTYPE_F32, dims, 2, b, sizeof(b));
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].calls, 0);
	cr_assert_eq(((float *)r.out[1].data)[3], 3);
	r.wanted[1] = 0;
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[1].calls, 1);
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, shape_known_after_the_run)
{
	static const int64_t dims[] = {5};
	float x[5] = {0, 1, 0, 2, 3};
	int64_t want[3] = {1, 3, 4};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "nonzero");
	cr_assert_not(f.info.can_batch);
	onnx_prepare(&r, &f);
	r.on_output = onnx_overwrite_input; /* too late to matter */
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 1, x, sizeof(x));
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].calls, 1);
	cr_assert_eq(r.out[0].dtype, MODELD_DTYPE_I64);
	cr_assert_eq(r.out[0].rank, 2);
	cr_assert_eq(r.out[0].dims[1], 3);
	cr_assert_arr_eq(r.out[0].data, want, sizeof(want));
	x[0] = x[1] = x[3] = x[4] = 0;
	r.on_output = NULL;
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].bytes, 0);
	cr_assert_eq(r.out[0].dims[1], 0);
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, no_rows_at_all)
{
	static const int64_t dims[] = {0, 4};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "add_sub");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, NULL, 0);
	onnx_input(&r, 1, MODELD_DTYPE_F32, dims, 2, NULL, 0);
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].bytes, 0);
	cr_assert_eq(r.out[0].dims[0], 0);
	onnx_done(&r);
	onnx_unload(&f);
}

/* Neg of `n` numbers with this shape. */
static void negate(struct onnx_model *f, struct onnx_run *r, const int64_t *dims, uint32_t rank,
	float *x, size_t n)
{
	onnx_prepare(r, f);
	r->on_output = onnx_overwrite_input;
	onnx_input(r, 0, MODELD_DTYPE_F32, dims, rank, x, n * sizeof(*x));
	onnx_run_ok(r, f);
	cr_assert_eq(r->out[0].rank, rank);
	cr_assert_arr_eq(r->out[0].dims, dims, rank * sizeof(*dims));
	for (size_t i = 1; i < n; i++)
		cr_assert_eq(((float *)r->out[0].data)[i], -x[i]);
}

Test(onnxruntime, declarations)
{
	static const struct {
		const char *name;
		int can_batch, bound; /* 0, 1, -1: either */
		uint32_t rank;
		int64_t dims[2];
	} cases[] = {
		{"fixed", 0, 1, 2, {2, 3}},
		{"scalar", 0, -1, 0, {0}}, /* an old library cannot tell it from any shape */
		{"unnamed", 0, 0, 2, {-1, -1}},
		{"renamed", 0, 0, 2, {-1, 3}},
	};
	static const int64_t dims[] = {2, 3};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		float x[6] = {1, 2, 3, 4, 5, 6};
		size_t n = cases[i].rank == 2 ? 6 : 1;
		struct onnx_model f;
		struct onnx_run r;

		onnx_load(&f, cases[i].name);
		cr_assert_str_eq(f.info.inputs[0].name, "x");
		cr_assert_eq(f.info.inputs[0].rank, cases[i].rank, "%s", cases[i].name);
		cr_assert_arr_eq(f.info.inputs[0].dims, cases[i].dims,
			cases[i].rank * sizeof(int64_t), "%s", cases[i].name);
		cr_assert_eq(f.info.can_batch, cases[i].can_batch, "%s", cases[i].name);
		negate(&f, &r, dims, cases[i].rank, x, n);
		if (cases[i].bound >= 0)
			cr_assert_eq(*(float *)r.out[0].data, cases[i].bound ? -100 : -1, "%s",
				cases[i].name);
		onnx_done(&r);
		onnx_unload(&f);
	}
}

Test(onnxruntime, shape_that_follows_from_another_axis)
{
	static const int64_t dims[] = {2, 3};
	float x[6] = {1, 2, 3, 4, 5, 6};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "swapped");
	cr_assert_not(f.info.can_batch);
	onnx_prepare(&r, &f);
	r.on_output = onnx_overwrite_input;
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, x, sizeof(x));
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].dims[0], 3);
	cr_assert_eq(r.out[0].dims[1], 2);
	cr_assert_eq(((float *)r.out[0].data)[0], 100);
	cr_assert_eq(((float *)r.out[0].data)[1], 4);
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, any_shape)
{
	static const int64_t dims[] = {6}, size[] = {3};
	int64_t shape[] = {1, 3, 2};
	float x[6] = {1, 2, 3, 4, 5, 6};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "shapeless");
	cr_assert(f.info.outputs[0].any_shape);
	cr_assert_not(f.info.inputs[0].any_shape);
	cr_assert_not(f.info.can_batch);
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 1, x, sizeof(x));
	onnx_input(&r, 1, MODELD_DTYPE_I64, size, 1, shape, sizeof(shape));
	onnx_run_ok(&r, &f);
	cr_assert_eq(r.out[0].rank, 3);
	cr_assert_arr_eq(r.out[0].dims, shape, sizeof(shape));
	cr_assert_arr_eq(r.out[0].data, x, sizeof(x));
	onnx_done(&r);
	onnx_unload(&f);
}

Test(onnxruntime, model_that_declares_other_shapes_than_it_makes)
{
	static const int64_t dims[] = {1, 2};
	float x[2] = {1, 2}, want[4] = {1, 2, 1, 2};
	struct onnx_model f;
	struct onnx_run r;

	onnx_load(&f, "lying");
	onnx_prepare(&r, &f);
	onnx_input(&r, 0, MODELD_DTYPE_F32, dims, 2, x, sizeof(x));
	for (unsigned i = 0; i < 2; i++) {
		onnx_run_ok(&r, &f);
		cr_assert_eq(r.out[0].dims[0], 2);
		cr_assert_arr_eq(r.out[0].data, want, sizeof(want));
		/* Twice in the first run; after that it is known. */
		cr_assert_eq(r.out[0].calls, 2 + i);
	}
	cr_assert(strstr(onnx_world.log, "1 model 'lying' makes outputs of other shapes"), "%s",
		onnx_world.log);
	onnx_done(&r);
	onnx_unload(&f);
}
