/* back_off_test.c: how long is waited after how many ends. */
#include "pool/back_off.h"

#include <criterion/criterion.h>

#include "base/clock.h"

#define MAX_NS (60 * NS_PER_S)

static void expect_about(uint32_t n, uint64_t s)
{
	uint64_t random = 1, least = UINT64_MAX, most = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t ns = back_off_ns(n, MAX_NS, &random);

		least = ns < least ? ns : least;
		most = ns > most ? ns : most;
	}
	cr_expect_geq(least, s * NS_PER_S * 8 / 10);
	cr_expect_leq(most, s * NS_PER_S * 12 / 10);
	cr_expect_leq(most, MAX_NS);
	cr_expect(s == 0 || least < most, "not in step");
}

Test(back_off, doubles_up_to_the_most)
{
	expect_about(0, 0);
	expect_about(1, 1);
	expect_about(2, 2);
	expect_about(3, 4);
	expect_about(6, 32);
	expect_about(7, 60);
	expect_about(8, 60);
	expect_about(UINT32_MAX, 60);
}
