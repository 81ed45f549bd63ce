/* tensor_value_test.c: numbers that a type holds, and those that it does not. */
#include "clients/modelctl/tensor_value.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static int put(enum dtype d, const char *number, char out[64])
{
	uint8_t element[8] = {0};
	int r = tensor_put_text(d, element, number, strlen(number));

	if (!r)
		tensor_element_exact(d, element, 0, out, 64);
	return r;
}

Test(tensor_value, what_types_hold)
{
	static const struct {
		enum dtype d;
		const char *number, *back;
	} rows[] = {
		{DTYPE_U8, "255", "255"},
		{DTYPE_U8, "0", "0"},
		{DTYPE_U8, "-0", "0"},
		{DTYPE_U8, "2.55e2", "255"},
		{DTYPE_I8, "-128", "-128"},
		{DTYPE_I8, "127", "127"},
		{DTYPE_U64, "18446744073709551615", "18446744073709551615"},
		{DTYPE_I64, "-9223372036854775808", "-9223372036854775808"},
		{DTYPE_I64, "9007199254740993", "9007199254740993"},
		{DTYPE_I32, "3.0", "3"},
		{DTYPE_BOOL, "true", "1"},
		{DTYPE_BOOL, "0", "0"},
		{DTYPE_F64, "0.1", "0.10000000000000001"},
		{DTYPE_F32, "0.1", "0.100000001"},
		{DTYPE_F32, "NaN", "nan"},
		{DTYPE_F32, "-Infinity", "-inf"},
		{DTYPE_F16, "65504", "65504"},
		{DTYPE_F16, "0.1", "0.099976"},
		{DTYPE_F16, "6e-8", "5.9605e-08"},
		{DTYPE_BF16, "1.01171875", "1.0156"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[64];

		cr_assert_eq(put(rows[i].d, rows[i].number, out), 0, "%s", rows[i].number);
		cr_assert_str_eq(out, rows[i].back);
		cr_assert(tensor_takes(rows[i].d, rows[i].number));
	}
}

Test(tensor_value, what_they_do_not)
{
	static const struct {
		enum dtype d;
		const char *number;
		int error;
	} rows[] = {
		{DTYPE_U8, "256", -ERANGE},
		{DTYPE_U8, "-1", -ERANGE},
		{DTYPE_U8, "1.5", -EINVAL},
		{DTYPE_U8, "", -EINVAL},
		{DTYPE_U8, "x", -EINVAL},
		{DTYPE_U8, "-", -EINVAL},
		{DTYPE_I8, "128", -ERANGE},
		{DTYPE_I8, "-129", -ERANGE},
		{DTYPE_I64, "9223372036854775808", -ERANGE},
		{DTYPE_U64, "18446744073709551616", -ERANGE},
		{DTYPE_U64, "1e30", -ERANGE},
		{DTYPE_BOOL, "2", -ERANGE},
		{DTYPE_I32, "true", -EINVAL},
		{DTYPE_I32, "NaN", -ERANGE},
		{DTYPE_F32, "1e39", -ERANGE},
		{DTYPE_F64, "1e999", -ERANGE},
		{DTYPE_F16, "65505", -ERANGE},
		{DTYPE_F32, "1x", -EINVAL},
		{DTYPE_F32, "null", -EINVAL},
		{DTYPE_F32,
			"0."
			"000000000000000000000000000000000000000000000000000000000000000000000001",
			-ERANGE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[64];

		cr_assert_eq(put(rows[i].d, rows[i].number, out), rows[i].error, "%s of %s",
			rows[i].number, dtype_name(rows[i].d));
		cr_assert_not(tensor_takes(rows[i].d, rows[i].number));
	}
	cr_assert(tensor_takes(DTYPE_BYTES, "anything"));
	cr_assert_str_eq(tensor_holds(DTYPE_U8), "a whole number from 0 to 255");
	for (unsigned d = DTYPE_INVALID; d < DTYPE_MAX_; d++)
		cr_assert_gt(strlen(tensor_holds((enum dtype)d)), 0);
}
