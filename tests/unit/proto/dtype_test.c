/* dtype_test.c: names, sizes, shape arithmetic at its limits, BYTES payloads. */
#include "proto/dtype.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct row {
	enum dtype dtype;
	const char *name, *other, *kserve;
	size_t bytes;
};

static const struct row rows[] = {
	{DTYPE_BOOL, "bool", "bool", "BOOL", 1},
	{DTYPE_U8, "u8", "uint8", "UINT8", 1},
	{DTYPE_U16, "u16", "uint16", "UINT16", 2},
	{DTYPE_U32, "u32", "uint32", "UINT32", 4},
	{DTYPE_U64, "u64", "uint64", "UINT64", 8},
	{DTYPE_I8, "i8", "int8", "INT8", 1},
	{DTYPE_I16, "i16", "int16", "INT16", 2},
	{DTYPE_I32, "i32", "int32", "INT32", 4},
	{DTYPE_I64, "i64", "int64", "INT64", 8},
	{DTYPE_F16, "f16", "float16", "FP16", 2},
	{DTYPE_BF16, "bf16", "bfloat16", "BF16", 2},
	{DTYPE_F32, "f32", "float32", "FP32", 4},
	{DTYPE_F64, "f64", "float64", "FP64", 8},
	{DTYPE_BYTES, "bytes", "string", "BYTES", 0},
};

static enum dtype parse(const char *name)
{
	return dtype_parse(name, strlen(name));
}

Test(dtype, every_name_of_every_type)
{
	cr_assert_eq(sizeof(rows) / sizeof(rows[0]), DTYPE_MAX_ - 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		cr_assert_eq(r->dtype, i + 1, "the numbers are on the wire");
		cr_assert_eq(parse(r->name), r->dtype);
		cr_assert_eq(parse(r->other), r->dtype);
		cr_assert_eq(parse(r->kserve), r->dtype);
		cr_assert_str_eq(dtype_name(r->dtype), r->name);
		cr_assert_str_eq(dtype_kserve_name(r->dtype), r->kserve);
		cr_assert_eq(dtype_size(r->dtype), r->bytes);
	}
}

Test(dtype, other_names_are_invalid)
{
	static const char *const bad[] = {
		"", "f", "F32", "f32 ", " f32", "fp32", "Float32", "any", "INVALID", "f128"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(parse(bad[i]), DTYPE_INVALID, "%s", bad[i]);
	cr_assert_eq(dtype_parse("f32\0", 4), DTYPE_INVALID);
	cr_assert_eq(dtype_parse("f322", 3), DTYPE_F32, "only n bytes count");
}

Test(dtype, numbers_outside_are_any)
{
	cr_assert_str_eq(dtype_name(DTYPE_INVALID), "any");
	cr_assert_str_eq(dtype_name(DTYPE_MAX_), "any");
	cr_assert_str_eq(dtype_name((enum dtype)UINT32_MAX), "any");
	cr_assert_str_eq(dtype_kserve_name(DTYPE_MAX_), "INVALID");
	cr_assert_eq(dtype_size(DTYPE_INVALID), 0);
	cr_assert_eq(dtype_size((enum dtype)1000), 0);
}

Test(shape, elements)
{
	int64_t dims[TENSOR_RANK_MAX + 1] = {2, 3, 4};
	uint64_t n = 7;

	cr_assert_eq(shape_elements(NULL, 0, &n), 0);
	cr_assert_eq(n, 1, "a scalar");
	cr_assert_eq(shape_elements(dims, 3, &n), 0);
	cr_assert_eq(n, 24);
	for (size_t i = 0; i <= TENSOR_RANK_MAX; i++)
		dims[i] = 1;
	cr_assert_eq(shape_elements(dims, TENSOR_RANK_MAX, &n), 0);
	cr_assert_eq(n, 1);
	n = 7;
	cr_assert_eq(shape_elements(dims, TENSOR_RANK_MAX + 1, &n), -EINVAL);
	cr_assert_eq(shape_elements((int64_t[]){1, -1}, 2, &n), -EINVAL);
	cr_assert_eq(shape_elements((int64_t[]){0, INT64_MIN}, 2, &n), -EINVAL);
	cr_assert_eq(n, 7, "untouched on failure");
}

Test(shape, elements_fit_63_bits)
{
	uint64_t n = 7;

	cr_assert_eq(shape_elements((int64_t[]){INT64_MAX}, 1, &n), 0);
	cr_assert_eq(n, INT64_MAX);
	cr_assert_eq(shape_elements((int64_t[]){INT64_C(1) << 31, INT64_C(1) << 31}, 2, &n), 0);
	cr_assert_eq(n, UINT64_C(1) << 62);
	cr_assert_eq(shape_elements((int64_t[]){INT64_C(1) << 32, INT64_C(1) << 31}, 2, &n),
		-EOVERFLOW, "2^63");
	cr_assert_eq(shape_elements((int64_t[]){INT64_MAX, INT64_MAX, 2}, 3, &n), -EOVERFLOW);
	cr_assert_eq(n, UINT64_C(1) << 62);
}

Test(shape, a_zero_makes_it_empty_wherever_it_stands)
{
	uint64_t n = 7;

	cr_assert_eq(shape_elements((int64_t[]){0, INT64_MAX, INT64_MAX}, 3, &n), 0);
	cr_assert_eq(n, 0);
	n = 7;
	cr_assert_eq(shape_elements((int64_t[]){INT64_MAX, INT64_MAX, 0}, 3, &n), 0);
	cr_assert_eq(n, 0);
}

Test(shape, bytes)
{
	uint64_t n = 7;

	cr_assert_eq(shape_bytes(DTYPE_F32, (int64_t[]){8, 64}, 2, &n), 0);
	cr_assert_eq(n, 2048);
	cr_assert_eq(shape_bytes(DTYPE_I8, (int64_t[]){INT64_MAX}, 1, &n), 0);
	cr_assert_eq(n, INT64_MAX);
	cr_assert_eq(shape_bytes(DTYPE_F64, (int64_t[]){INT64_C(1) << 60}, 1, &n), -EOVERFLOW);
	cr_assert_eq(shape_bytes(DTYPE_F64, (int64_t[]){(INT64_C(1) << 60) - 1}, 1, &n), 0);
	cr_assert_eq(n, INT64_MAX - 7);
	n = 7;
	cr_assert_eq(shape_bytes(DTYPE_I16, (int64_t[]){INT64_MAX}, 1, &n), -EOVERFLOW);
	cr_assert_eq(shape_bytes(DTYPE_F32, (int64_t[]){-1}, 1, &n), -EINVAL);
	cr_assert_eq(shape_bytes(DTYPE_BYTES, (int64_t[]){1}, 1, &n), -EINVAL);
	cr_assert_eq(shape_bytes(DTYPE_INVALID, (int64_t[]){1}, 1, &n), -EINVAL);
	cr_assert_eq(n, 7);
}

Test(shape, format)
{
	int64_t long_dims[TENSOR_RANK_MAX];
	char out[512];

	cr_assert_str_eq(shape_format(NULL, 0, out, sizeof(out)), "[]");
	cr_assert_str_eq(shape_format((int64_t[]){1, 64}, 2, out, sizeof(out)), "[1,64]");
	cr_assert_str_eq(shape_format((int64_t[]){-1}, 1, out, sizeof(out)), "[-1]");
	for (size_t i = 0; i < TENSOR_RANK_MAX; i++)
		long_dims[i] = INT64_MIN;
	shape_format(long_dims, TENSOR_RANK_MAX, out, sizeof(out));
	cr_assert_eq(strlen(out), TENSOR_RANK_MAX * 21 + 1);
}

Test(shape, format_is_cut_at_every_capacity)
{
	static const char whole[] = "[10,200,-1]";
	char out[sizeof(whole) + 1];

	for (size_t cap = 0; cap <= sizeof(whole); cap++) {
		size_t n = cap == 0 ? 0 : cap - 1;

		memset(out, '#', sizeof(out));
		cr_assert_eq(shape_format((int64_t[]){10, 200, -1}, 3, out, cap), out);
		cr_assert_eq(memcmp(out, whole, n), 0, "cap %zu", cap);
		cr_assert(cap == 0 || out[n] == '\0', "cap %zu", cap);
		cr_assert_eq(out[cap], '#', "cap %zu", cap);
	}
}

Test(bytes_tensor, adds_up)
{
	static const uint8_t two[] = {2, 0, 0, 0, 'h', 'i', 0, 0, 0, 0};

	cr_assert_eq(bytes_tensor_check(two, sizeof(two), 2), 0);
	cr_assert_eq(bytes_tensor_check(two, 6, 1), 0);
	cr_assert_eq(bytes_tensor_check(NULL, 0, 0), 0);
	cr_assert_eq(bytes_tensor_check(two, sizeof(two), 1), -EINVAL, "something behind");
	cr_assert_eq(bytes_tensor_check(two, sizeof(two), 3), -EINVAL, "an element is missing");
	cr_assert_eq(bytes_tensor_check(two, sizeof(two), UINT64_MAX), -EINVAL);
	for (size_t n = 0; n < sizeof(two); n++)
		cr_assert_eq(bytes_tensor_check(two, n, 2), -EINVAL, "cut at %zu", n);
}

Test(bytes_tensor, huge_length)
{
	static const uint8_t huge[] = {0xFF, 0xFF, 0xFF, 0xFF, 'x'};

	cr_assert_eq(bytes_tensor_check(huge, sizeof(huge), 1), -EINVAL);
}

Test(dtype, tensor_check)
{
	const int64_t dims[] = {2, 3}, none[] = {0}, negative[] = {-1}, huge[] = {INT64_MAX, 3};

	cr_assert_eq(tensor_check(DTYPE_F32, dims, 2, 24, NULL), 0);
	cr_assert_eq(tensor_check(DTYPE_F32, dims, 2, 23, NULL), -EINVAL);
	cr_assert_eq(tensor_check(DTYPE_F32, dims, 0, 4, "1234"), 0);
	cr_assert_eq(tensor_check(DTYPE_F32, none, 1, 0, NULL), 0);
	cr_assert_eq(tensor_check(DTYPE_U8, negative, 1, 0, NULL), -EINVAL);
	cr_assert_eq(tensor_check(DTYPE_U8, huge, 2, 0, NULL), -EOVERFLOW);
	cr_assert_eq(tensor_check(DTYPE_INVALID, dims, 2, 0, NULL), -EINVAL);
	cr_assert_eq(tensor_check(DTYPE_BYTES, dims, 1, 9, "\1\0\0\0a\0\0\0\0"), 0);
	cr_assert_eq(tensor_check(DTYPE_BYTES, dims, 1, 8, "\1\0\0\0a\0\0\0\0"), -EINVAL);
	cr_assert_eq(tensor_check(DTYPE_BYTES, dims, 1, 8, NULL), 0, "not looked at");
	cr_assert_eq(tensor_check(DTYPE_BYTES, negative, 1, 8, NULL), -EINVAL);
}

Test(dtype, what_a_declaration_admits)
{
	const int64_t declared[] = {-1, 3}, good[] = {7, 3}, zero[] = {0, 3}, bad[] = {7, 4};

	cr_assert(shape_admits(declared, 2, good, 2));
	cr_assert(shape_admits(declared, 2, zero, 2));
	cr_assert_not(shape_admits(declared, 2, bad, 2));
	cr_assert_not(shape_admits(declared, 2, good, 1));
	cr_assert_not(shape_admits(declared, 1, good, 2));
	cr_assert(shape_admits(NULL, 0, NULL, 0));
	cr_assert(dtype_admits(DTYPE_INVALID, DTYPE_F32));
	cr_assert(dtype_admits(DTYPE_F32, DTYPE_F32));
	cr_assert_not(dtype_admits(DTYPE_F32, DTYPE_F64));
	cr_assert_not(dtype_admits(DTYPE_INVALID, DTYPE_INVALID), "no tensor has it");
	cr_assert_not(dtype_admits(DTYPE_F32, DTYPE_INVALID));
}
