/* digits_test.c: against printf(). */
#include "base/digits.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void check(uint64_t v)
{
	char want[32], got[32] = {0};

	snprintf(want, sizeof(want), "%" PRIu64, v);
	cr_assert_eq(decimal_write(got, v), strlen(want));
	cr_assert_str_eq(got, want);
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
