/*
 * slots.h: a table of things by id, of which the low bits are the place in the table: found by an
 * index, not by a search. Who numbers things uses slots_add(): the lowest free place, and a serial
 * number above it that never comes again. Who is told of them uses slots_put().
 */
#ifndef SHM_SLOTS_H
#define SHM_SLOTS_H

#include <stdint.h>

#include "base/cleanup.h"

#define SLOTS_MAX (UINT32_C(1) << 16)

struct slot {
	uint64_t id; /* 0: free */
	void *item;  /* borrow */
};

/* All zero is an empty table. */
struct slots {
	struct slot *items; /* own */
	uint32_t cap;
	uint32_t n;	 /* in use */
	uint32_t full;	 /* all places below it are in use */
	uint64_t serial; /* of the last id given */
};

void slots_deinit(struct slots *s);
/* Give `item` an id, not 0. -ENOMEM: also where SLOTS_MAX are in use */
_must_use_ int slots_add(struct slots *s, void *item, uint64_t *ret_id);
/* -EEXIST the place is taken; -ERANGE the place is `limit` or above; -EINVAL 0; -ENOMEM */
_must_use_ int slots_put(struct slots *s, uint64_t id, uint32_t limit, void *item);
/* Returns what was there, or NULL. */
void *slots_remove(struct slots *s, uint64_t id);

/* NULL: none of this id. */
static inline void *slots_find(const struct slots *s, uint64_t id)
{
	uint64_t place = id & (SLOTS_MAX - 1);

	return place < s->cap && s->items[place].id == id ? s->items[place].item : NULL;
}

#endif
