/*
 * output_memory.h: the output memory of one worker process, its segments mapped here, and the leases that keep
 * them so.
 * The public half, leases seen from outside, is in worker.h.
 */
#ifndef POOL_OUTPUT_MEMORY_H
#define POOL_OUTPUT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/worker.h"
#include "shm/span.h"

struct output_memory;

/* What all outputs of a pool share: embedded in it. */
struct output_desk {
	struct list
		overdue; /* struct output_memory.node: with much to be released, or something unmapped */
	struct list spare; /* struct output_lease.node */
	uint32_t n_spare;
	uint32_t n_leases;	   /* not spare */
	uint64_t *holds;	   /* own: WIRE_RELEASE_MAX of them, to build a message from */
	struct disposer *disposer; /* own: unmaps segments */
};

/* -ENOMEM */
_must_use_ int output_desk_init(struct output_desk *k);
/* Asserts that no lease is held. Accepts a zeroed desk. */
void output_desk_deinit(struct output_desk *k);
/* Sends a Release or an Unmapped; may call output_memory_mute(). */
typedef void output_send(struct worker *w, const struct wire_message *m);

/* Send what was released where that is so much that it should not wait for output_memory_tell(). */
void output_desk_flush(struct output_desk *k, output_send *send);

struct output_limits {
	uint64_t bytes;	     /* of all segments, at most */
	uint32_t n_segments; /* at most */
	uint32_t n_holds;    /* that the process was not told to release, at most */
};

/* Without a segment yet. The caller's reference is held until its process is reaped. -ENOMEM */
_must_use_ int output_memory_new(struct output_memory **ret_output, struct output_desk *k,
	struct worker *w, const struct output_limits *limits);
/*
 * Check and map one of its segments. *fd is taken over on success, and kept as long as the segment is mapped.
 * -EPROTO  *ret_why says what is wrong (static storage)
 * -ENOMEM, -errno of mmap
 */
_must_use_ int output_memory_map(
	struct output_memory *o, int *fd, const struct wire_map *map, const char **ret_why);
/* It is not to be named any more: unmapped, and Unmapped is sent, as soon as no lease is on it any more; until then it counts against the
 * limits. -EPROTO: there is none of this id */
_must_use_ int output_memory_unmap(struct output_memory *o, uint64_t id);
/* Something is about to be said to the process: send what was released. */
void output_memory_tell(struct output_memory *o, output_send *send);
/* The process is not to be told about anything any more. */
void output_memory_mute(struct output_memory *o);
/* Accepts NULL; returns NULL. */
struct output_memory *output_memory_unref(struct output_memory *o);
/* Where a span lies; NULL when it is not wholly inside of one segment. */
const void *output_memory_data(const struct output_memory *o, const struct span *span);
/* The descriptor of a segment that spans may name, to be mapped read-only by another process: borrowed while
 * a lease on something in it is held. -1: there is none of this id. */
int output_memory_segment_fd(const struct output_memory *o, uint64_t id);
/* Segments that are mapped here, and their bytes; NULL: none. */
uint32_t output_memory_n_segments(const struct output_memory *o);
uint64_t output_memory_mapped(const struct output_memory *o);

/*
 * On what the worker calls `hold`, and keeps until it is told to release that. With one reference. Numbers
 * of holds grow.
 * -EPROTO  *ret_why says what is wrong (static storage)
 * -ENOMEM
 */
_must_use_ int output_lease_new(struct output_lease **ret_lease, struct output_memory *o,
	uint64_t hold, const char **ret_why);
/* One answer's part of the hold that `of` is on, or a part of, which is kept as long as a part is. With one reference.
 * -ENOMEM */
_must_use_ int output_lease_part(struct output_lease **ret_part, struct output_lease *of);
/* Something in the segment of this id, which spans may name (asserted), is part of it. -ENOMEM */
_must_use_ int output_lease_on(struct output_lease *l, uint64_t id);
/* So many bytes more are. */
void output_lease_add(struct output_lease *l, uint64_t bytes);

#endif
