/* Tests of kserve_contents.c: every type, packed or not, against what the tensor has. */
#include "services/kserve_contents.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "proto/kserve/grpc_service.pb-c.h"

static uint8_t out[256];

/* Bytes written; the text of the type that is wrong, where it is. */
static uint64_t convert(const void *contents, size_t n, enum dtype d)
{
	const char *type = "";
	uint64_t bytes = 0;

	cr_assert_eq(kserve_contents_measure(contents, n, d, &bytes, &type), 0);
	cr_assert_leq(bytes, sizeof(out));
	kserve_contents_write(contents, n, d, out);
	return bytes;
}

#define CONVERT(text, d) convert(text, sizeof(text) - 1, d)

Test(kserve_contents, packed_and_not)
{
	cr_assert_eq(CONVERT("\x12\x03\x01\x80\x01", DTYPE_I32), 8);
	cr_expect_arr_eq(out, "\1\0\0\0\x80\0\0\0", 8);
	cr_assert_eq(CONVERT("\x10\x01\x10\x80\x01", DTYPE_I32), 8, "each with its tag");
	cr_expect_arr_eq(out, "\1\0\0\0\x80\0\0\0", 8);
	cr_assert_eq(CONVERT("\x12\x01\x01\x12\x01\x02", DTYPE_U8 + 4), 2, "in two pieces, i8");
	cr_expect_arr_eq(out, "\1\2", 2);
}

Test(kserve_contents, fixed_sizes)
{
	cr_assert_eq(CONVERT("\x32\x08\0\0\x80\x3f\0\0\0\xc0", DTYPE_F32), 8);
	cr_expect_arr_eq(out, "\0\0\x80\x3f\0\0\0\xc0", 8);
	cr_assert_eq(CONVERT("\x35\0\0\x80\x3f", DTYPE_F32), 4);
	cr_expect_arr_eq(out, "\0\0\x80\x3f", 4);
	cr_assert_eq(CONVERT("\x39\0\0\0\0\0\0\xf0\x3f", DTYPE_F64), 8);
	cr_expect_arr_eq(out, "\0\0\0\0\0\0\xf0\x3f", 8);
}

Test(kserve_contents, bools_are_0_or_1)
{
	cr_assert_eq(CONVERT("\x0a\x03\x00\x02\x01", DTYPE_BOOL), 3);
	cr_expect_arr_eq(out, "\0\1\1", 3);
}

Test(kserve_contents, bytes_have_their_length_ahead)
{
	cr_assert_eq(CONVERT("\x42\x02hi\x42\x00", DTYPE_BYTES), 10);
	cr_expect_arr_eq(out, "\2\0\0\0hi\0\0\0\0", 10);
}

Test(kserve_contents, unknown_fields_and_empty_ones_are_nothing)
{
	cr_assert_eq(CONVERT("\x78\x05\x32\x00", DTYPE_I32), 0);
	cr_assert_eq(CONVERT("", DTYPE_I32), 0);
}

Test(kserve_contents, another_type)
{
	static const struct {
		const char *contents;
		size_t n;
		enum dtype d;
		const char *type;
	} wrong[] = {
		{"\x32\x04\0\0\0\0", 6, DTYPE_I32, "FP32"},
		{"\x10\x01", 2, DTYPE_I64, "INT32"},
		{"\x0a\x01\x01", 3, DTYPE_U8, "BOOL"},
		{"\x42\x01x", 3, DTYPE_F32, "BYTES"},
		{"\x32\x04\0\0\0\0", 6, DTYPE_F16, "FP32"},
		{"\x10\x01", 2, DTYPE_INVALID, "INT32"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *type = "";
		uint64_t bytes;

		cr_assert_eq(kserve_contents_measure((const uint8_t *)wrong[i].contents, wrong[i].n,
				     wrong[i].d, &bytes, &type),
			KSERVE_CONTENTS_E_TYPE, "%zu", i);
		cr_expect_str_eq(type, wrong[i].type);
	}
}

Test(kserve_contents, what_is_no_message)
{
	static const struct {
		const char *contents;
		size_t n;
		enum dtype d;
	} bad[] = {
		{"\x12\x05\x01", 3, DTYPE_I32},
		{"\x12\x01\x80", 3, DTYPE_I32},
		{"\x32\x03\0\0\0", 5, DTYPE_F32},
		{"\x15\0\0\0\0", 5, DTYPE_I32},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *type = "";
		uint64_t bytes;

		cr_expect_eq(kserve_contents_measure((const uint8_t *)bad[i].contents, bad[i].n,
				     bad[i].d, &bytes, &type),
			-EPROTO, "%zu", i);
	}
}
