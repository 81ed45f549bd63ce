/* output_segments.h: the segments of one worker process's output memory, mapped here. For output_memory.c alone. */
#ifndef POOL_OUTPUT_SEGMENTS_H
#define POOL_OUTPUT_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "shm/slots.h"
#include "shm/span.h"

struct disposer;
struct output_segment;
struct wire_map;

struct output_segments {
	struct disposer *disposer; /* borrow: unmaps */
	uint64_t max_bytes;	   /* of all that are mapped */
	uint32_t n_max;
	struct slots by_id;  /* struct output_segment: those that spans may name */
	struct list mapped;  /* struct output_segment.node: the same */
	struct list leaving; /* ... that were taken back, while somebody was on them */
	struct list left;    /* ... unmapped; the worker is to be told */
	uint32_t n;	     /* in .mapped and .leaving */
	uint64_t bytes;	     /* likewise */
};

void output_segments_init(
	struct output_segments *s, struct disposer *d, uint64_t max_bytes, uint32_t n_max);
/* Nobody is on any. */
void output_segments_deinit(struct output_segments *s);
/*
 * Check and map one. *fd is taken over on success, and kept as long as it is mapped.
 * -EPROTO  *ret_why says what is wrong (static storage)
 * -ENOMEM, -errno of mmap
 */
_must_use_ int output_segments_map(
	struct output_segments *s, int *fd, const struct wire_map *map, const char **ret_why);
/* It is not to be named any more: unmapped as soon as nobody is on it, which may be now. -EPROTO: there is none of this id */
_must_use_ int output_segments_unmap(struct output_segments *s, uint64_t id);
/* One that was unmapped so, and that the worker has not been told of; false: none. */
bool output_segments_next_left(struct output_segments *s, uint64_t *ret_id);
/* Where a span lies; NULL when it is not wholly inside of one that spans may name. */
const void *output_segments_data(const struct output_segments *s, const struct span *span);
/* Its descriptor, borrowed as long as it is mapped. -1: there is none of this id that spans may name. */
int output_segments_fd(const struct output_segments *s, uint64_t id);

/* The one of this id, which spans may name (asserted). */
struct output_segment *output_segments_find(const struct output_segments *s, uint64_t id);
/* Somebody is on it: it stays mapped until he lets go of it. */
void output_segment_hold(struct output_segment *m);
void output_segments_let_go(struct output_segments *s, struct output_segment *m);

#endif
