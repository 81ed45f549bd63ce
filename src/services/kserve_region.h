/* kserve_region.h: what the calls for shared memory by key (kserve_shm.h) and for memory on GPUs (kserve_cuda.h) share. */
#ifndef SERVICES_KSERVE_REGION_H
#define SERVICES_KSERVE_REGION_H

#include <stddef.h>

#include "services/key_region.h"

struct call;
struct message_memory;

/* How regions of a kind are told of: each has its own messages for that. */
struct kserve_region_kind {
	enum key_kind kind;
	/* Triton's words: for this kind, for it where one is not found, and for the other kind. */
	const char *word, *word_unfound, *word_other;
	/* Of an entry of the answer, and of what it points to. */
	size_t entry_bytes, value_bytes;
	/* Both are zeroed; texts are borrowed from the region. */
	void (*fill)(void *entry, void *value, const struct key_region *r);
	/* Send the answer with these entries, which ends the call. */
	void (*answer)(struct call *c, void **entries, size_t n);
};

/* Of all users. */
struct key_regions *kserve_region_keys(struct call *c);
/* Answer with the caller's region of that name and kind, "": with all of the kind; or with Triton's refusal. */
void kserve_region_status(struct call *c, struct message_memory *memory, const char *name,
	const struct kserve_region_kind *kind);

#endif
