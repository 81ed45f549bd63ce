/* regions.h: the memory that batches may name, by its id: segments of the daemon's, regions of clients. */
#ifndef WORKERS_REGIONS_H
#define WORKERS_REGIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "shm/slots.h"
#include "shm/view.h"

/* All zero is an empty set. */
struct regions {
	struct slots segments; /* struct view: own */
	struct region *items;  /* own; by ascending id */
	size_t n;
	size_t cap;
};

/* Unmaps all. */
void regions_deinit(struct regions *s);
/*
 * Map fd, which is borrowed.
 *
 * -EEXIST    the id is in use
 * -ENOMEM, or as view_new(), view_new_region()
 */
_must_use_ int regions_map(struct regions *s, int fd, const struct wire_map *map);
/* -ENOENT where the id is not known. */
_must_use_ int regions_unmap(struct regions *s, uint64_t id);
/* NULL where the id is not known. */
const struct view *regions_find(const struct regions *s, uint64_t id);

#endif
