/* digits_test.c: against printf(), and what is no number. */
#include "base/digits.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void check(uint64_t v)
{
	char want[32], got[32] = {0};

	snprintf(want, sizeof(want), "%" PRIu64, v);
	cr_assert_eq(decimal_write(got, v), strlen(want));
	cr_assert_str_eq(got, want);
	cr_assert_str_eq(decimal_write_back(got + sizeof(got) - 1, v), want);
	memset(got, 0, sizeof(got));
	snprintf(want, sizeof(want), "%016" PRIx64, v);
	hex64_write(got, v);
	cr_assert_str_eq(got, want);
}

Test(digits, as_printf_does)
{
	uint64_t power = 1;

	check(0);
	for (int i = 0; i < 20; i++) {
		check(power - 1);
		check(power);
		check(power + 1);
		power *= 10;
	}
	for (int i = 0; i < 64; i++)
		check(UINT64_C(0x9E3779B97F4A7C15) >> i);
	check(UINT64_MAX);
}

Test(digits, parse)
{
	uint64_t v = 7;

	cr_assert_eq(decimal_parse("0", &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(decimal_parse("18446744073709551615", &v), 0);
	cr_assert_eq(v, UINT64_MAX);
	cr_assert_eq(decimal_parse("007", &v), 0);
	cr_assert_eq(v, 7);
	cr_assert_eq(decimal_parse("18446744073709551616", &v), -ERANGE);
	cr_assert_eq(decimal_parse("99999999999999999999", &v), -ERANGE);
	cr_assert_eq(v, 7, "untouched");
}

Test(digits, read)
{
	const char *end = NULL;
	uint64_t v = 7;

	cr_assert_eq(decimal_read("12,3", &v, &end), 0);
	cr_assert_eq(v, 12);
	cr_assert_str_eq(end, ",3");
	cr_assert_eq(decimal_read("5", &v, &end), 0);
	cr_assert_eq(*end, 0);
	cr_assert_eq(decimal_read(",3", &v, &end), -EINVAL);
	cr_assert_eq(decimal_read("18446744073709551616,", &v, &end), -ERANGE);
	cr_assert_eq(v, 5, "untouched");
	cr_assert_eq(*end, 0, "untouched");
}

Test(digits, parse_real)
{
	static const char *const bad[] = {
		"", "x", "1x", "1 ", "inf", "-inf", "nan", "1e999", "1,5"};
	double v = 7;

	cr_assert_eq(real_parse("1.5", &v), 0);
	cr_assert_eq(v, 1.5);
	cr_assert_eq(real_parse("-2e3", &v), 0);
	cr_assert_eq(v, -2000.0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(real_parse(bad[i], &v), -EINVAL, "'%s'", bad[i]);
	cr_assert_eq(v, -2000.0, "untouched");
}

Test(digits, parse_bytes)
{
	uint64_t v;

	cr_assert_eq(bytes_parse("12", &v), 0);
	cr_assert_eq(v, 12);
	cr_assert_eq(bytes_parse("3K", &v), 0);
	cr_assert_eq(v, 3072);
	cr_assert_eq(bytes_parse("2M", &v), 0);
	cr_assert_eq(v, 2 << 20);
	cr_assert_eq(bytes_parse("5G", &v), 0);
	cr_assert_eq(v, UINT64_C(5) << 30);
	cr_assert_eq(bytes_parse("17179869184G", &v), -ERANGE);
	cr_assert_eq(bytes_parse("99999999999999999999G", &v), -ERANGE);
}

Test(digits, no_numbers)
{
	static const char *const texts[] = {
		"", " 1", "1 ", "-1", "+1", "x", "1x", "0x1", "1KB", "1KK", "K", "1.5", "1k"};
	uint64_t v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(decimal_parse(texts[i], &v), -EINVAL, "'%s'", texts[i]);
		cr_assert_eq(bytes_parse(texts[i], &v), -EINVAL, "'%s'", texts[i]);
	}
	cr_assert_eq(decimal_parse("1K", &v), -EINVAL);
}

Test(digits, switches)
{
	static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
	bool v;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		cr_assert_eq(bool_parse(words[i], &v), 0);
		cr_assert_eq(v, i % 2 == 1, "%s", words[i]);
	}
	cr_assert_eq(bool_parse("", &v), -EINVAL);
	cr_assert_eq(bool_parse("Yes", &v), -EINVAL);
	cr_assert_eq(bool_parse("yes ", &v), -EINVAL);
}
