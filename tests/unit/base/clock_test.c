/* clock_test.c: time goes forward, deadlines saturate and round up. */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <time.h>

Test(clock, monotonic)
{
	uint64_t before = clock_ns();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_ns();

		cr_assert_geq(now, before);
		before = now;
	}
}

Test(clock, wall_is_unix_time)
{
	uint64_t low = (uint64_t)time(NULL) - 1;
	uint64_t wall = clock_wall_ns();

	cr_assert_geq(wall / NS_PER_S, low);
	cr_assert_leq(wall / NS_PER_S, (uint64_t)time(NULL) + 1);
}

Test(clock, add_saturates)
{
	cr_assert_eq(clock_add(1, 2), 3);
	cr_assert_eq(clock_add(CLOCK_NO_DEADLINE, 0), CLOCK_NO_DEADLINE);
	cr_assert_eq(clock_add(CLOCK_NO_DEADLINE - 1, 1), CLOCK_NO_DEADLINE);
	cr_assert_eq(clock_add(5, CLOCK_NO_DEADLINE), CLOCK_NO_DEADLINE);
	cr_assert_eq(clock_add(CLOCK_NO_DEADLINE, CLOCK_NO_DEADLINE), CLOCK_NO_DEADLINE);
}

Test(clock, ms_until_rounds_up)
{
	cr_assert_eq(clock_ms_until(10, 10), 0);
	cr_assert_eq(clock_ms_until(11, 10), 0);
	cr_assert_eq(clock_ms_until(0, 1), 1);
	cr_assert_eq(clock_ms_until(0, NS_PER_MS), 1);
	cr_assert_eq(clock_ms_until(0, NS_PER_MS + 1), 2);
	cr_assert_eq(clock_ms_until(NS_PER_S, NS_PER_S * 3), 2000);
}

Test(clock, ms_until_is_capped)
{
	uint64_t cap_ns = (uint64_t)INT32_MAX * NS_PER_MS;

	cr_assert_eq(clock_ms_until(0, cap_ns - NS_PER_MS), INT32_MAX - 1);
	cr_assert_eq(clock_ms_until(0, cap_ns), INT32_MAX);
	cr_assert_eq(clock_ms_until(0, cap_ns + 1), INT32_MAX);
	cr_assert_eq(clock_ms_until(0, CLOCK_NO_DEADLINE), INT32_MAX);
}

Test(clock, milliseconds_to_nanoseconds)
{
	cr_assert_eq(clock_ms_to_ns(0), 0);
	cr_assert_eq(clock_ms_to_ns(7), 7 * NS_PER_MS);
	cr_assert_eq(clock_ms_to_ns(UINT64_MAX / NS_PER_MS), UINT64_MAX / NS_PER_MS * NS_PER_MS);
	cr_assert_eq(clock_ms_to_ns(UINT64_MAX / NS_PER_MS + 1), CLOCK_NO_DEADLINE);
	cr_assert_eq(clock_ms_to_ns(UINT64_MAX), CLOCK_NO_DEADLINE);
}
