/* back_off.c: see back_off.h. */
#include "pool/back_off.h"

#include "base/clock.h"

/* xorshift64 */
static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

uint64_t back_off_ns(uint32_t n, uint64_t max_ns, uint64_t *random)
{
	uint64_t delay_ns;

	if (n == 0)
		return 0;
	delay_ns = NS_PER_S << (n <= 20 ? n - 1 : 20);
	if (delay_ns > max_ns)
		delay_ns = max_ns;
	delay_ns -= delay_ns / 5;
	delay_ns += next_random(random) % (delay_ns / 2 + 1);
	return delay_ns < max_ns ? delay_ns : max_ns;
}
