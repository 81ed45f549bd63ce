/*
 * regions.c: a sorted array of mapped regions. Ids only ever grow, so a new one goes to the end.
 * Worker process, its one thread.
 */
#include "workers/regions.h"

#include <errno.h>
#include <string.h>

struct region {
	uint64_t id;
	struct view *view; /* own */
};

void regions_deinit(struct regions *s)
{
	for (size_t i = 0; i < s->n; i++)
		view_free(s->items[i].view);
	free(s->items);
	*s = (struct regions){0};
}

/* Where the id is or would be. */
static size_t place_of(const struct regions *s, uint64_t id)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct regions *s)
{
	size_t cap = s->cap ? s->cap * 2 : 16;
	struct region *items;

	if (s->n < s->cap)
		return 0;
	items = realloc(s->items, cap * sizeof(*items));
	if (!items)
		return -ENOMEM;
	s->items = items;
	s->cap = cap;
	return 0;
}

int regions_map(struct regions *s, int fd, const struct wire_map *map)
{
	_cleanup_(view_freep) struct view *v = NULL;
	size_t at = place_of(s, map->region);
	int r;

	if (at < s->n && s->items[at].id == map->region)
		return -EEXIST;
	r = make_room(s);
	if (!r)
		r = view_new_region(&v, fd, map->region, map->size, map->writable);
	if (r)
		return r;
	memmove(&s->items[at + 1], &s->items[at], (s->n - at) * sizeof(*s->items));
	s->items[at] = (struct region){.id = map->region, .view = steal_ptr(v)};
	s->n++;
	return 0;
}

int regions_unmap(struct regions *s, uint64_t id)
{
	size_t at = place_of(s, id);

	if (at >= s->n || s->items[at].id != id)
		return -ENOENT;
	view_free(s->items[at].view);
	s->n--;
	memmove(&s->items[at], &s->items[at + 1], (s->n - at) * sizeof(*s->items));
	return 0;
}

const struct view *regions_find(const struct regions *s, uint64_t id)
{
	size_t at = place_of(s, id);

	return at < s->n && s->items[at].id == id ? s->items[at].view : NULL;
}
