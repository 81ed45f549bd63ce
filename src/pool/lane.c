/* lane.c: batches in flight on a lane, by expected time. Daemon process, loop thread. */
#include "pool/lane.h"

#include <assert.h>
#include <stddef.h>

#include "base/clock.h"
#include "pool/flight.h"

/* So late is no news: workers are not always scheduled at once. */
#define LATE_NS (1 * NS_PER_MS)

void backlog_add(struct backlog *l, uint64_t expect_ns, uint64_t now_ns)
{
	if (l->n++ == 0)
		l->since_ns = now_ns;
	l->expect_ns += expect_ns;
}

void backlog_remove(struct backlog *l, uint64_t expect_ns, uint64_t now_ns)
{
	assert(l->n > 0 && l->expect_ns >= expect_ns);
	l->n--;
	l->expect_ns -= expect_ns;
	l->since_ns = now_ns;
	assert(l->n > 0 || l->expect_ns == 0);
}

uint64_t backlog_kept_ns(const struct backlog *l, uint64_t now_ns)
{
	return l->n > 0 && now_ns > l->since_ns ? now_ns - l->since_ns : 0;
}

uint64_t backlog_ns(const struct backlog *l, uint64_t now_ns)
{
	uint64_t kept_ns = backlog_kept_ns(l, now_ns);

	if (l->n == 0)
		return 0;
	return kept_ns > l->expect_ns + LATE_NS ? kept_ns : l->expect_ns;
}

void lane_init(struct pool_lane *l, uint32_t index)
{
	*l = (struct pool_lane){.index = index};
	list_init(&l->node);
	list_init(&l->flights);
}

void lane_enter(struct pool_lane *l, struct flight *f, uint64_t now_ns)
{
	list_push_back(&l->flights, &f->lane_node);
	backlog_add(&l->backlog, f->expect_ns, now_ns);
}

void lane_leave(struct pool_lane *l, struct flight *f, uint64_t now_ns)
{
	list_remove(&f->lane_node);
	backlog_remove(&l->backlog, f->expect_ns, now_ns);
}

struct flight *lane_front(const struct pool_lane *l)
{
	assert(l->backlog.n > 0);
	return list_entry(l->flights.next, struct flight, lane_node);
}

struct pool_lane *lane_pick(struct pool_lane *lanes, uint32_t n, uint64_t now_ns)
{
	struct pool_lane *best = lanes;
	uint64_t best_ns;

	if (n <= 1)
		return best;
	best_ns = backlog_ns(&best->backlog, now_ns);
	for (uint32_t i = 1; i < n && best->backlog.n > 0; i++) {
		uint64_t ns = backlog_ns(&lanes[i].backlog, now_ns);

		if (lanes[i].backlog.n > 0 && ns >= best_ns)
			continue;
		best = &lanes[i];
		best_ns = ns;
	}
	return best;
}
