/* dispatch_parts.c: the door's answers to who asks what dispatch is made of, how much it does and holds. Daemon process, loop
 * thread. */
#include "dispatch/dispatch.h"

#include <assert.h>
#include <inttypes.h>

#include "base/log.h"
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

uint64_t dispatch_lone_ns(const struct dispatch *d)
{
	return scheduler_lone_ns(&d->scheduler);
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

void dispatch_close_accounts(const struct dispatch *d)
{
	const struct tally *t = &d->tally;
	uint64_t arena_bytes = d->input.arena ? arena_used(d->input.arena) : 0;

	log_debug("accounts of requests",
		"clients=%" PRIu32 " requests=%" PRIu32 " arena_bytes=%" PRIu64
		" output_bytes=%" PRIu64 " expected_output_bytes=%" PRIu64,
		t->n_clients, t->n_requests, arena_bytes, t->outputs.used, t->outputs.expected);
	assert(t->n_requests == 0 && t->n_clients == 0 && arena_bytes == 0);
	assert(t->outputs.used == 0 && t->outputs.expected == 0 && t->outputs.n_users == 0);
	(void)arena_bytes;
}
