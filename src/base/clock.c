/*
 * clock.c: time in nanoseconds. 64 bits last 584 years, so only sums of what came from outside can
 * overflow, and they saturate. Stateless; any process, any thread.
 */
#include "base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t); /* cannot fail for these two clocks */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

uint64_t clock_add(uint64_t start_ns, uint64_t delta_ns)
{
	uint64_t sum;

	return __builtin_add_overflow(start_ns, delta_ns, &sum) ? CLOCK_NO_DEADLINE : sum;
}

uint64_t clock_ms_until(uint64_t now_ns, uint64_t deadline_ns)
{
	uint64_t left, ms;

	if (deadline_ns <= now_ns)
		return 0;
	left = deadline_ns - now_ns;
	ms = left / NS_PER_MS + (left % NS_PER_MS != 0);
	return ms < INT32_MAX ? ms : INT32_MAX;
}
