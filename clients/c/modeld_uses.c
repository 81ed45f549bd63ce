/*
 * modeld_uses.c: which calls have targets in a region. Below calls and regions, which both need it. Client process, the
 * caller's thread.
 */
#include "clients/c/modeld_private.h"

static void forget_region(struct list *calls, const struct modeld_region *region)
{
	list_for_each (calls, node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		for (size_t t = 0; t < call->n_targets; t++) {
			if (call->targets[t].region != region)
				continue;
			call->released = true;
			call->targets[t].region = NULL;
		}
	}
}

void call_forget_region(struct modeld *m, const struct modeld_region *region)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++)
		forget_region(&m->open[i], region);
	forget_region(&m->ended, region);
}

static bool overlap(
	const struct use *u, const struct modeld_region *region, uint64_t offset, uint64_t bytes)
{
	const uint8_t *mine = region_at(region, u->offset, u->bytes);
	const uint8_t *other = region_at(region, offset, bytes);

	return u->region == region && mine && other && mine < other + bytes &&
	       other < mine + u->bytes;
}

static bool may_write(const struct list *calls, const struct modeld_region *region, uint64_t offset,
	uint64_t bytes)
{
	list_for_each (calls, node) {
		const struct modeld_call *call = list_entry(node, struct modeld_call, node);

		for (size_t i = 0; call->abandoned && i < call->n_targets; i++) {
			if (overlap(&call->targets[i], region, offset, bytes))
				return true;
		}
	}
	return false;
}

bool call_may_write(
	struct modeld *m, const struct modeld_region *region, uint64_t offset, uint64_t bytes)
{
	for (size_t i = 0; m->n_abandoned > 0 && i < CALL_BUCKETS; i++) {
		if (may_write(&m->open[i], region, offset, bytes))
			return true;
	}
	return false;
}
