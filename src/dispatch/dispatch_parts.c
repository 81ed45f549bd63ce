/* dispatch_parts.c: the door's answers to who asks what dispatch is made of, and how much it does. Daemon process, loop
 * thread. */
#include "dispatch/dispatch.h"

#include "dispatch/dispatch_private.h"

struct lease_desk *dispatch_desk(struct dispatch *d)
{
	return &d->desk;
}

struct region_desk *dispatch_regions(struct dispatch *d)
{
	return &d->regions;
}

struct tally *dispatch_tally(struct dispatch *d)
{
	return &d->tally;
}

struct pool *dispatch_pool(const struct dispatch *d)
{
	return d->pool;
}

const struct arena *dispatch_arena(const struct dispatch *d)
{
	return d->input.arena;
}

uint64_t dispatch_activity(const struct dispatch *d)
{
	return d->tally.activity;
}

uint64_t dispatch_stalls(const struct dispatch *d)
{
	return d->watchdog.stalls;
}

uint32_t dispatch_load(const struct dispatch *d)
{
	return d->tally.n_requests;
}

struct version_counters dispatch_counters(const struct dispatch *d)
{
	return catalogue_counters(&d->catalogue);
}
