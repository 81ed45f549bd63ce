/*
 * regions.h: the memory that batches may name, by its id: segments of the daemon's, regions of clients, which are mapped here, or on
 * the device.
 */
#ifndef WORKERS_REGIONS_H
#define WORKERS_REGIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "shm/slots.h"
#include "shm/view.h"
#include "workers/device.h"

/* All zero is an empty set. */
struct regions {
	struct slots segments; /* struct view: own */
	struct region *items;  /* own; by ascending id */
	size_t n;
	size_t cap;
	/* Own: what there was no room to map, REGIONS_WANTED_MAX at most. */
	struct wanted *wanted;
	size_t n_wanted;
};

#define REGIONS_WANTED_MAX 64u

/* Unmaps all. */
void regions_deinit(struct regions *s);
/*
 * Map fd, which is borrowed.
 *
 * -EEXIST    the id is in use
 * -ENOMEM    there is no room: it is wanted, until regions_unmap()
 * or as view_new(), view_new_region()
 */
_must_use_ int regions_map(struct regions *s, int fd, const struct wire_map *map);
/* -ENOENT where the id is not known. */
_must_use_ int regions_unmap(struct regions *s, uint64_t id);
/* Try to map one that is wanted, which is not any more then: *ret_map. -ENOENT: there is none; -ENOMEM, or as regions_map() */
_must_use_ int regions_map_again(struct regions *s, struct wire_map *ret_map);
/* Is it wanted? */
bool regions_lacks(const struct regions *s, uint64_t id);
/*
 * Memory of the device, which is copied; all zero: it cannot be had, and those who name it are to hear why. Such a one may come
 * again.
 * -EEXIST, -ENOMEM
 */
_must_use_ int regions_import(struct regions *s, uint64_t id, uint64_t size,
	const struct device_import *import, const char *why);
/* What it is on the device; all zero: nothing. */
struct device_import regions_imported(const struct regions *s, uint64_t id);
/*
 * Is the span in memory of the device? ret_data: where it is read; NULL where it is not inside of it; or that cannot be had, which
 * *ret_lost says.
 */
bool regions_on_device(
	const struct regions *s, const struct span *span, void **ret_data, bool *ret_lost);
/* The same, to be written; NULL also where that may not be. */
bool regions_target_on_device(
	const struct regions *s, const struct span *span, void **ret_data, bool *ret_lost);
/* Why it is lost, for people. `lock` guards them, and is not held. */
void regions_why_locked(
	const struct regions *s, pthread_mutex_t *lock, uint64_t id, char *text, size_t cap);
/* NULL where the id is not known, or the memory is the device's. */
const struct view *regions_find(const struct regions *s, uint64_t id);
/* regions_find() and regions_lacks() of a thread that runs a batch which names the id, and so keeps what is found. `lock`
 * guards them, and is not held. */
const struct view *regions_find_locked(const struct regions *s, pthread_mutex_t *lock, uint64_t id);
bool regions_lacks_locked(const struct regions *s, pthread_mutex_t *lock, uint64_t id);

#endif
