/*
 * modeld_forget.c: calls whose target's region goes. Below calls and regions, which both need it. Client process, the
 * caller's thread.
 */
#include "clients/c/modeld_private.h"

static void forget_region(struct list *calls, const struct modeld_region *region)
{
	list_for_each (calls, node) {
		struct modeld_call *call = list_entry(node, struct modeld_call, node);

		for (size_t t = 0; t < call->n_targets; t++)
			call->released |= call->targets[t].region == region;
	}
}

void call_forget_region(struct modeld *m, const struct modeld_region *region)
{
	for (size_t i = 0; i < CALL_BUCKETS; i++)
		forget_region(&m->open[i], region);
	forget_region(&m->ended, region);
}
