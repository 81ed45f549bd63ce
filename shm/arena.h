/*
 * arena.h: the shared memory of one owner: a growing set of segments, and the spans cut from them.
 *
 * Memory follows use. Low segments come before high ones and low addresses before high ones, so
 * that what is in use stays together; pages are populated ahead of need, the further the more is in
 * use; a segment that was not used for a while is given up, but for the first one. A span that is
 * larger than a segment gets a segment of its own size. Where spans are to be near different NUMA nodes, each
 * node has segments of its own.
 *
 * Whoever reads the memory must know a segment before it is named to it: the owner is told of a new
 * one by on_made, and of one that it has to take back by on_idle.
 * Single-threaded, but for arena_populate_run().
 */
#ifndef SHM_ARENA_H
#define SHM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/segment.h"
#include "shm/span.h"

enum {
	ARENA_E_FULL = 1,      /* does not fit now, would fit an empty arena */
	ARENA_E_TOO_LARGE = 2, /* can never fit: length > arena_limit() */
	ARENA_E_MEMORY = 3,    /* the host has no memory for it */
};

struct arena_events {
	/* A segment was made: give it an id. From inside arena_new() and arena_alloc(), which fail
	 * with the -errno that this returns. */
	int (*on_made)(void *data, struct segment *s, uint64_t *ret_id);
	/* No span is cut from it any more, none is in use: have everybody unmap it, then call
	 * arena_remove(), which may be at once. From inside arena_tick() and arena_alloc(). */
	void (*on_idle)(void *data, struct segment *s);
};

struct arena_options {
	const char *name;	 /* borrow for the arena's life; shown in /proc/PID/maps */
	uint64_t limit;		 /* bytes in use, and of segments beside the first, at most; > 0 */
	uint64_t segment_bytes;	 /* of a segment; > 0; clamped to limit */
	uint32_t max_segments;	 /* at most; 0: any number */
	uint64_t populate_first; /* bytes populated by arena_new(); clamped to the first segment */
	uint64_t populate_ahead; /* bytes that arena_populate_next() keeps ahead of use, at most */
	uint64_t idle_ns;	 /* a segment that was not used for so long is given up */
	enum segment_page_size pages;
	uint32_t numa_node; /* of spans that are not to be near another; as of a segment; 0: any */
};

struct arena;

/* events are borrowed for the arena's life, and so is their `data`. Where this fails after on_made,
 * that segment is gone.
 * -EINVAL bad options; -errno of on_made; or as segment_new(), segment_populate_run() */
_must_use_ int arena_new(struct arena **ret_arena, const struct arena_options *options,
	const struct arena_events *events, void *data);
/* Frees all segments, without a callback: nobody may map them any more. Asserts nothing about
 * spans in use. Accepts NULL; returns NULL. */
struct arena *arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free)

uint64_t arena_limit(const struct arena *a);
/* Bytes allocated now, rounded to granules. */
uint64_t arena_used(const struct arena *a);
/* Spans allocated now. */
uint64_t arena_n_spans(const struct arena *a);

/* Those that are given up but not removed yet are counted. */
uint32_t arena_n_segments(const struct arena *a);

struct arena_memory {
	uint32_t n_segments;
	uint64_t mapped;   /* bytes of all segments */
	uint64_t resident; /* ... of which are there: what the arena costs the host */
};
/* Includes segments that are given up but not removed yet. */
struct arena_memory arena_memory(const struct arena *a);

/*
 * Allocate `length` bytes (0 is allowed and takes one granule), 64-byte aligned. O(segments).
 * ret_span->length is exactly `length`. Not to be touched while arena_missing() is not 0.
 *
 * ARENA_E_FULL, ARENA_E_TOO_LARGE, ARENA_E_MEMORY   as above
 * -ENOMEM                bookkeeping could not grow
 * -errno                 no further segment could be made
 */
_must_use_ int arena_alloc(struct arena *a, uint64_t length, struct span *ret_span);
/* The same, near that NUMA node (counted from 1; 0: any): from a segment of its own kind, where the limit leaves room for
 * one and it can be made, and else from any: no other is given up for that. In an arena of less than four segments nothing
 * is near anything. */
_must_use_ int arena_alloc_near(
	struct arena *a, uint64_t length, uint32_t numa_node, struct span *ret_span);
/* Give a span back, as segment_release(). -ESTALE also where no segment has its id */
_must_use_ int arena_release(struct arena *a, const struct span *span);
/* Address of a span or slice, as segment_data(). */
void *arena_data(struct arena *a, const struct span *span);

/* Bytes that must be populated before this span may be touched; 0: none; UINT64_MAX: the host had
 * no memory for them, and the span can only be released. */
uint64_t arena_missing(const struct arena *a, const struct span *span);
/* Populate them at once. ARENA_E_MEMORY: the span can only be released. */
_must_use_ int arena_populate_span(struct arena *a, const struct span *span);

/* Part of a segment that is to be populated. */
struct arena_range {
	struct segment *segment; /* borrow */
	uint64_t offset;
	uint64_t length;
};
/* The range to be populated next: first what spans in use are missing, then ahead of need. True: it
 * is in progress until arena_populate_done(); false: nothing to do, or one is in progress. Whole
 * pages, at most `max_bytes`. */
bool arena_populate_next(struct arena *a, uint64_t max_bytes, struct arena_range *ret_range);
/* Do it: blocking; changes no byte. The one function that any thread may call. -errno */
_must_use_ int arena_populate_run(const struct arena_range *range);
/* Back on the owner's thread with its result. After a failure the segment gives nothing any more
 * above what is resident, until it is not in use. */
void arena_populate_done(struct arena *a, const struct arena_range *range, int result);

/* Give up what was idle long enough, as of now. Returns when to call again: UINT64_MAX when there
 * is but one segment. */
uint64_t arena_tick(struct arena *a, uint64_t now_ns);
/* After on_idle: nobody maps it any more. The segment is the caller's to free, on any thread. */
struct segment *arena_remove(struct arena *a, struct segment *s);

#endif
