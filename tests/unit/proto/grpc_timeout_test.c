/* grpc_timeout_test.c: each unit, each limit, everything malformed, and that formatting never makes
 * a deadline earlier. */
#include "proto/grpc_timeout.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static void parses(const char *text, uint64_t want_ns)
{
	uint64_t ns = 7;

	cr_assert_eq(grpc_timeout_parse(text, strlen(text), &ns), 0, "%s", text);
	cr_assert_eq(ns, want_ns, "%s: %llu", text, (unsigned long long)ns);
}

Test(grpc_timeout, units)
{
	parses("1n", 1);
	parses("1u", 1000);
	parses("1m", 1000000);
	parses("1S", 1000000000);
	parses("1M", UINT64_C(60) * 1000000000);
	parses("1H", UINT64_C(3600) * 1000000000);
	parses("0S", 0);
	parses("00000000n", 0);
	parses("00000100m", 100000000);
	parses("99999999n", 99999999);
	parses("99999999S", UINT64_C(99999999) * 1000000000);
	parses("99999999M", UINT64_C(99999999) * 60 * 1000000000);
}

Test(grpc_timeout, hours_are_clamped)
{
	/* 2562047 hours are the last that fit 63 bits of nanoseconds. */
	parses("2562047H", UINT64_C(2562047) * 3600 * 1000000000);
	parses("2562048H", INT64_MAX);
	parses("5124096H", INT64_MAX);
	parses("99999999H", INT64_MAX);
}

Test(grpc_timeout, malformed)
{
	static const char *const bad[] = {"", "S", "1", "100", "S1", "123456789S", "000000001S",
		"-1S", "+1S", " 1S", "1 S", "1S ", "1.5S", "1s", "1h", "1U", "1N", "1x", "0x1S",
		"1mS", "/S", ":S"};
	uint64_t ns = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(
			grpc_timeout_parse(bad[i], strlen(bad[i]), &ns), -EINVAL, "'%s'", bad[i]);
	cr_assert_eq(grpc_timeout_parse("1\0", 2, &ns), -EINVAL);
	cr_assert_eq(grpc_timeout_parse("\0S", 2, &ns), -EINVAL);
	cr_assert_eq(ns, 7, "untouched on failure");
}

static void formats(uint64_t ns, const char *want)
{
	char out[GRPC_TIMEOUT_TEXT_MAX];
	size_t n = grpc_timeout_format(ns, out);

	cr_assert_str_eq(out, want);
	cr_assert_eq(n, strlen(want));
}

Test(grpc_timeout, the_finest_unit_that_fits)
{
	formats(0, "0n");
	formats(1, "1n");
	formats(99999999, "99999999n");
	formats(100000000, "100000u");
	formats(100000001, "100001u");
	formats(UINT64_C(99999999000), "99999999u");
	formats(UINT64_C(99999999001), "100000m");
	formats(UINT64_C(99999999) * 1000000 + 1, "100000S");
	formats(UINT64_C(99999999) * 1000000000, "99999999S");
	formats(UINT64_C(99999999) * 1000000000 + 1, "1666667M");
	formats(UINT64_C(99999999) * 60000000000 + 1, "1666667H");
	formats(UINT64_MAX, "5124096H");
}

Test(grpc_timeout, rounded_up_and_close)
{
	uint64_t seed = 1;

	for (unsigned int i = 0; i < 100000; i++) {
		char out[GRPC_TIMEOUT_TEXT_MAX];
		uint64_t ns, back = 0;
		size_t n;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		ns = seed >> (1 + i % 63);
		n = grpc_timeout_format(ns, out);
		cr_assert_leq(n, 9);
		cr_assert_eq(grpc_timeout_parse(out, n, &back), 0);
		cr_assert_geq(back, ns, "%s", out);
		/* A unit is at most 1000 times the one that did not fit: 1e-5 of the value; for
		 * the hour it is a 60th of a value above 1666666. */
		cr_assert_leq(back - ns, ns / 10000, "%s", out);
	}
}
