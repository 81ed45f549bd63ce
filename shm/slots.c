/*
 * slots.c: places that double where they run out. Any process; one thread at a time.
 */
#include "shm/slots.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SLOT_BITS 16u
#define CAP_FIRST 16u

_Static_assert(SLOTS_MAX >> SLOT_BITS == 1, "the serial number is above the place");

void slots_deinit(struct slots *s)
{
	free(s->items);
	*s = (struct slots){0};
}

static int make_room(struct slots *s, uint32_t place)
{
	uint32_t cap = s->cap ? s->cap : CAP_FIRST;
	struct slot *items;

	if (place < s->cap)
		return 0;
	while (cap <= place)
		cap *= 2;
	items = realloc(s->items, cap * sizeof(*items));
	if (!items)
		return -ENOMEM;
	memset(items + s->cap, 0, (cap - s->cap) * sizeof(*items));
	s->items = items;
	s->cap = cap;
	return 0;
}

static uint32_t lowest_free(const struct slots *s)
{
	uint32_t place = s->full;

	while (place < s->cap && s->items[place].id)
		place++;
	return place;
}

int slots_add(struct slots *s, void *item, uint64_t *ret_id)
{
	uint32_t place = lowest_free(s);
	int r = place < SLOTS_MAX ? make_room(s, place) : -ENOMEM;

	if (r)
		return r;
	*ret_id = ++s->serial << SLOT_BITS | place;
	s->items[place] = (struct slot){.id = *ret_id, .item = item};
	s->full = place + 1;
	s->n++;
	return 0;
}

int slots_put(struct slots *s, uint64_t id, uint32_t limit, void *item)
{
	uint32_t place = (uint32_t)(id & (SLOTS_MAX - 1));
	int r;

	if (id == 0)
		return -EINVAL;
	if (place >= limit)
		return -ERANGE;
	r = make_room(s, place);
	if (r)
		return r;
	if (s->items[place].id)
		return -EEXIST;
	s->items[place] = (struct slot){.id = id, .item = item};
	s->n++;
	return 0;
}

void *slots_remove(struct slots *s, uint64_t id)
{
	uint32_t place = (uint32_t)(id & (SLOTS_MAX - 1));
	void *item = slots_find(s, id);

	if (!item)
		return NULL;
	s->items[place] = (struct slot){0};
	if (place < s->full)
		s->full = place;
	s->n--;
	return item;
}
