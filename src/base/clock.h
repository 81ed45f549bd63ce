/* clock.h: monotonic time in nanoseconds, and deadlines that cannot overflow. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US	  UINT64_C(1000)
#define NS_PER_MS	  UINT64_C(1000000)
#define NS_PER_S	  UINT64_C(1000000000)
#define CLOCK_NO_DEADLINE UINT64_MAX

/* CLOCK_MONOTONIC now. */
uint64_t clock_ns(void);
/* CLOCK_REALTIME now (Unix time), for what people read. */
uint64_t clock_wall_ns(void);
/* CLOCK_NO_DEADLINE: more than there is. */
static inline uint64_t clock_ms_to_ns(uint64_t ms)
{
	return ms > UINT64_MAX / NS_PER_MS ? CLOCK_NO_DEADLINE : ms * NS_PER_MS;
}

/* start + delta, saturating at CLOCK_NO_DEADLINE. */
uint64_t clock_add(uint64_t start_ns, uint64_t delta_ns);
/* Whole milliseconds until deadline_ns, rounded up, 0 when passed; capped at INT32_MAX. */
uint64_t clock_ms_until(uint64_t now_ns, uint64_t deadline_ns);

#endif
