/* kserve_region.c: what there is of registered memory, of either kind. Daemon process, loop thread. */
#include "services/kserve_region.h"

#include <string.h>

#include "services/kserve_small.h"

#define NAME_SHOWN 255

struct key_regions *kserve_region_keys(struct call *c)
{
	return &((struct services *)call_context(c))->keys;
}

/* One that is being opened is not there yet. */
static bool is_wanted(
	const struct key_region *r, const struct call *c, const char *name, enum key_kind kind)
{
	return key_region_kind(r) == kind && !r->on_opened && key_region_is_of(r, call_peer(c)) &&
	       (!*name || !strcmp(name, r->name));
}

static void answer_all(struct call *c, struct message_memory *memory, const char *name,
	const struct kserve_region_kind *kind)
{
	const struct key_regions *keys = kserve_region_keys(c);
	void **entries = kserve_small_array(memory, keys->n + 1, kind->entry_bytes);
	char *values = message_memory_calloc(memory, keys->n + 1, kind->value_bytes);
	size_t n = 0;

	call_work(c, keys->n / 16);
	if (!entries || !values) {
		message_no_memory(c);
		return;
	}
	list_for_each (&keys->all, node) {
		const struct key_region *r = list_entry(node, struct key_region, node);

		if (!is_wanted(r, c, name, kind->kind))
			continue;
		kind->fill(entries[n], values + n * kind->value_bytes, r);
		n++;
	}
	kind->answer(c, entries, n);
}

void kserve_region_status(struct call *c, struct message_memory *memory, const char *name,
	const struct kserve_region_kind *kind)
{
	const struct key_region *r =
		key_regions_find(kserve_region_keys(c), call_peer(c), name, strlen(name));

	if (r && key_region_kind(r) != kind->kind)
		call_finishf(c, GRPC_NOT_FOUND,
			"The region named '%.*s' is registered as %s shared memory, not %s shared "
			"memory",
			NAME_SHOWN, name, kind->word_other, kind->word);
	else if (!r && *name)
		call_finishf(c, GRPC_NOT_FOUND, "Unable to find %s shared memory region: '%.*s'",
			kind->word_unfound, NAME_SHOWN, name);
	else
		answer_all(c, memory, name, kind);
}
