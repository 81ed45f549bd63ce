/* burst.c: counts what was gathered. Daemon process, loop thread. */
#include "pool/burst.h"

#include "base/clock.h"

/* Fewer are no burst: nothing says that more will come. */
#define BURST_ITEMS 4u
/* A batch that should take longer is worth a wake-up of its own. */
#define SHORT_NS (20 * NS_PER_US)
/* Before a poll and after it: one poll lies between the first time that it is asked and the last. */
#define WAITS_MAX 2u

void burst_add(struct burst *b, uint32_t n, uint64_t expect_ns)
{
	b->n_items += n;
	b->urgent |= expect_ns > SHORT_NS;
}

void burst_hurry(struct burst *b)
{
	b->urgent = true;
}

bool burst_waits(struct burst *b)
{
	if (b->urgent || b->n_items < BURST_ITEMS || b->n_waits == WAITS_MAX)
		return false;
	b->n_waits++;
	return true;
}

void burst_end(struct burst *b)
{
	*b = (struct burst){0};
}
