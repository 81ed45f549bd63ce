/*
 * busy_poll.c: spin for a while after work, as long as that pays: work that comes within the limit
 * earns credit, whether it was spun for or slept for; work that comes later loses some. Stateless but
 * for the struct; any process, any thread.
 */
#include "base/busy_poll.h"

#include <sched.h>

#include "base/clock.h"

#define CREDIT_MAX 8u
/* No worker of a quick model keeps the CPU for so long: somebody has a time slice. */
#define SLICE_NS (500 * NS_PER_US)
#define REST_NS	 (1 * NS_PER_S)

void busy_poll_init(struct busy_poll *b, uint32_t limit_us)
{
	*b = (struct busy_poll){.limit_ns = limit_us * NS_PER_US, .credit = CREDIT_MAX};
}

/* It looks no more, until work comes. */
static void end_looks(struct busy_poll *b, bool paid)
{
	if (b->n_looks == 2 && paid)
		b->n_paid++;
	else if (b->n_looks == 2)
		b->n_vain++;
	b->n_looks = 0;
}

void busy_poll_work(struct busy_poll *b, uint64_t now_ns)
{
	bool soon = now_ns - b->since_ns < b->limit_ns;

	if (soon && b->credit < CREDIT_MAX)
		b->credit++;
	else if (!soon && b->credit > 0)
		b->credit--;
	end_looks(b, soon);
	b->since_ns = now_ns;
}

void busy_poll_begin(struct busy_poll *b, uint64_t now_ns)
{
	end_looks(b, false);
	b->since_ns = now_ns;
}

bool busy_poll_spins(struct busy_poll *b, uint64_t now_ns)
{
	if (b->limit_ns == 0 || b->credit == 0 || now_ns - b->since_ns >= b->limit_ns ||
		now_ns < b->rest_until_ns) {
		end_looks(b, false);
		return false;
	}
	if (b->n_looks < 2 && ++b->n_looks == 2)
		b->n_spins++;
	return true;
}

void busy_poll_gave_way(struct busy_poll *b, uint64_t from_ns, uint64_t now_ns)
{
	if (now_ns - from_ns >= SLICE_NS)
		b->rest_until_ns = now_ns + REST_NS;
}

uint64_t busy_poll_give_way(struct busy_poll *b)
{
	uint64_t from_ns = clock_ns(), now_ns;

	sched_yield();
	now_ns = clock_ns();
	busy_poll_gave_way(b, from_ns, now_ns);
	return now_ns - from_ns;
}
