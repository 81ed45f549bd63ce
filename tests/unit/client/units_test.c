/* units_test.c: each unit, and where one ends. */
#include "clients/modelctl/units.h"

#include <criterion/criterion.h>

Test(units, bytes)
{
	char out[32];

	cr_assert_str_eq(bytes_text(0, out), "0 B");
	cr_assert_str_eq(bytes_text(1023, out), "1023 B");
	cr_assert_str_eq(bytes_text(1536, out), "1.5 KiB");
	cr_assert_str_eq(bytes_text(UINT64_MAX, out), "16.0 EiB");
	cr_assert_str_eq(short_bytes_text(7, out), "7B");
	cr_assert_str_eq(short_bytes_text(3 << 20, out), "3.0M");
}

Test(units, durations)
{
	char out[32];

	cr_assert_str_eq(duration_text(999, out), "999 ms");
	cr_assert_str_eq(duration_text(1500, out), "1.5 s");
	cr_assert_str_eq(duration_text(61000, out), "1 min 1 s");
	cr_assert_str_eq(duration_text(3660000, out), "1 h 1 min");
}
