/*
 * regions.c: segments, which each batch names, in a table by id; regions in a sorted array. Their ids
 * only ever grow, so a new one goes to the end.
 * Worker process, its one thread.
 */
#include "workers/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct region {
	uint64_t id;
	struct view *view;	     /* own; NULL: it is on the device, and that is: */
	struct device_import import; /* all zero: it cannot be had */
	char *why;		     /* own: then; NULL: not known */
	uint64_t size;
};

struct wanted {
	int fd; /* own */
	struct wire_map map;
};

static void release(struct region *r)
{
	view_free(r->view);
	free(r->why);
}

void regions_deinit(struct regions *s)
{
	for (size_t i = 0; i < s->n; i++)
		release(&s->items[i]);
	for (uint32_t i = 0; i < s->segments.cap; i++)
		view_free(s->segments.items[i].item);
	slots_deinit(&s->segments);
	free(s->items);
	for (size_t i = 0; i < s->n_wanted; i++)
		close(s->wanted[i].fd);
	free(s->wanted);
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

static int map_segment(struct regions *s, int fd, const struct wire_map *map)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int r = slots_find(&s->segments, map->id) ? -EEXIST : 0;

	if (!r)
		r = view_new(&v, fd, map->id, map->size);
	if (!r)
		r = slots_put(&s->segments, map->id, SLOTS_MAX, v);
	if (!r)
		steal_ptr(v);
	return r;
}

/* --- What is wanted ------------------------------------------------------------------------------- */

/* n_wanted: it is not. */
static size_t find_wanted(const struct regions *s, uint64_t id)
{
	size_t i = 0;

	while (i < s->n_wanted && s->wanted[i].map.id != id)
		i++;
	return i;
}

static void forget_wanted(struct regions *s, size_t i)
{
	close(s->wanted[i].fd);
	s->wanted[i] = s->wanted[--s->n_wanted];
}

/* Without room for that, too, its runs fail. */
static void want(struct regions *s, int fd, const struct wire_map *map)
{
	int copy;

	if (!s->wanted)
		s->wanted = calloc(REGIONS_WANTED_MAX, sizeof(*s->wanted));
	if (!s->wanted || s->n_wanted == REGIONS_WANTED_MAX ||
		find_wanted(s, map->id) < s->n_wanted)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy >= 0)
		s->wanted[s->n_wanted++] = (struct wanted){.fd = copy, .map = *map};
}

bool regions_lacks(const struct regions *s, uint64_t id)
{
	return find_wanted(s, id) < s->n_wanted;
}

/* --- Mapping -------------------------------------------------------------------------------------- */

static bool is_known(const struct regions *s, uint64_t id)
{
	size_t at = place_of(s, id);

	return at < s->n && s->items[at].id == id;
}

/* make_room() has gone well. */
static void insert(struct regions *s, const struct region *r)
{
	size_t at = place_of(s, r->id);

	memmove(&s->items[at + 1], &s->items[at], (s->n - at) * sizeof(*s->items));
	s->items[at] = *r;
	s->n++;
}

static int map_any(struct regions *s, int fd, const struct wire_map *map)
{
	struct region new = {.id = map->id};
	int r;

	if (!(map->id & WIRE_REGION_BIT))
		return map_segment(s, fd, map);
	if (is_known(s, map->id))
		return -EEXIST;
	r = make_room(s);
	if (!r)
		r = view_new_region(&new.view, fd, map->id, map->size, map->writable);
	if (!r)
		insert(s, &new);
	return r;
}

static const struct region *find_imported(const struct regions *s, uint64_t id)
{
	const struct region *r = is_known(s, id) ? &s->items[place_of(s, id)] : NULL;

	return r && !r->view ? r : NULL;
}

/* Nobody has been given anything of it. */
static bool is_lost(const struct region *r)
{
	return r && !r->view && !r->import.data;
}

int regions_import(struct regions *s, uint64_t id, uint64_t size,
	const struct device_import *import, const char *why)
{
	struct region new = {.id = id, .import = *import, .size = size};
	int r;

	if (is_lost(find_imported(s, id)))
		r = regions_unmap(s, id);
	else
		r = is_known(s, id) ? -EEXIST : make_room(s);
	if (r)
		return r;
	new.why = *why ? strdup(why) : NULL;
	insert(s, &new);
	return 0;
}

void regions_why_locked(
	const struct regions *s, pthread_mutex_t *lock, uint64_t id, char *text, size_t cap)
{
	const struct region *r;

	pthread_mutex_lock(lock);
	r = find_imported(s, id);
	snprintf(text, cap, "%s", r && r->why ? r->why : "it could not be taken");
	pthread_mutex_unlock(lock);
}

struct device_import regions_imported(const struct regions *s, uint64_t id)
{
	const struct region *r = find_imported(s, id);

	return r ? r->import : (struct device_import){0};
}

static const struct region *find_on_device(
	const struct regions *s, const struct span *span, bool *ret_lost)
{
	const struct region *r =
		span->arena & WIRE_REGION_BIT ? find_imported(s, span->arena) : NULL;

	*ret_lost = is_lost(r);
	return r;
}

bool regions_on_device(
	const struct regions *s, const struct span *span, void **ret_data, bool *ret_lost)
{
	const struct region *r = find_on_device(s, span, ret_lost);

	*ret_data = r && r->import.data ? span_at(span, r->import.data, r->size) : NULL;
	return r != NULL;
}

bool regions_target_on_device(
	const struct regions *s, const struct span *span, void **ret_data, bool *ret_lost)
{
	const struct region *r = find_on_device(s, span, ret_lost);

	*ret_data = r && r->import.target ? span_at(span, r->import.target, r->size) : NULL;
	return r != NULL;
}

int regions_map(struct regions *s, int fd, const struct wire_map *map)
{
	int r = map_any(s, fd, map);

	if (r == -ENOMEM)
		want(s, fd, map);
	return r;
}

int regions_map_again(struct regions *s, struct wire_map *ret_map)
{
	int r = -ENOENT;

	for (size_t i = 0; r && i < s->n_wanted; i++) {
		r = map_any(s, s->wanted[i].fd, &s->wanted[i].map);
		if (r)
			continue;
		*ret_map = s->wanted[i].map;
		forget_wanted(s, i);
	}
	return r;
}

static int unmap_segment(struct regions *s, uint64_t id)
{
	struct view *v = slots_remove(&s->segments, id);

	if (!v)
		return -ENOENT;
	view_free(v);
	return 0;
}

int regions_unmap(struct regions *s, uint64_t id)
{
	size_t at = place_of(s, id);
	size_t wanted = find_wanted(s, id);

	if (wanted < s->n_wanted) {
		forget_wanted(s, wanted);
		return 0;
	}
	if (!(id & WIRE_REGION_BIT))
		return unmap_segment(s, id);
	if (at >= s->n || s->items[at].id != id)
		return -ENOENT;
	release(&s->items[at]);
	s->n--;
	memmove(&s->items[at], &s->items[at + 1], (s->n - at) * sizeof(*s->items));
	return 0;
}

const struct view *regions_find(const struct regions *s, uint64_t id)
{
	size_t at;

	if (!(id & WIRE_REGION_BIT))
		return slots_find(&s->segments, id);
	at = place_of(s, id);
	return at < s->n && s->items[at].id == id ? s->items[at].view : NULL;
}

const struct view *regions_find_locked(const struct regions *s, pthread_mutex_t *lock, uint64_t id)
{
	const struct view *v;

	pthread_mutex_lock(lock);
	v = regions_find(s, id);
	pthread_mutex_unlock(lock);
	return v;
}

bool regions_lacks_locked(const struct regions *s, pthread_mutex_t *lock, uint64_t id)
{
	bool lacks;

	pthread_mutex_lock(lock);
	lacks = regions_lacks(s, id);
	pthread_mutex_unlock(lock);
	return lacks;
}
