/*
 * arena.h: an arena, seen by its owner: the only process that writes and allocates in it.
 *
 * A memfd, mapped read-write, then sealed SHRINK|GROW|FUTURE_WRITE|SEAL: nobody else can ever map
 * it writable or make it shorter. All bookkeeping is in the private heap (two-level segregated
 * fit: O(1) allocate and free, immediate coalescing, 64-byte granules, no other rounding), so
 * nothing that another process does can corrupt it.
 *
 * Memory follows use. The frontier is the end of the highest span in use: free space below it is
 * preferred, and a span that is freed at the frontier pulls it down again, so that what was never
 * needed is never touched. Pages are populated ahead of the frontier: first by arena_new(), then
 * wherever the owner calls arena_populate_next(), possibly on another thread. Pages once touched
 * stay until arena_free(): the seals refuse holes.
 * Single-threaded, but for arena_populate_run().
 */
#ifndef SHM_ARENA_H
#define SHM_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/span.h"

#define ARENA_ALIGN 64u

enum {
	ARENA_E_FULL = 1,      /* would fit an empty arena, does not fit now */
	ARENA_E_TOO_LARGE = 2, /* can never fit: length > arena_size() */
};

enum arena_pages {
	ARENA_PAGES_BASE, /* 4 KiB pages */
	ARENA_PAGES_THP,  /* ask for transparent huge pages (MADV_HUGEPAGE); silent where refused */
};

struct arena_options {
	const char *name;	 /* borrow during arena_new(); shown in /proc/PID/maps */
	uint64_t id;		 /* not 0; unique among the arenas that a receiver knows */
	uint64_t size;		 /* bytes; rounded up to whole pages; > 0 */
	uint64_t populate_first; /* bytes populated by arena_new(); clamped to size */
	uint64_t populate_ahead; /* bytes kept populated above the frontier by the owner's thread */
	enum arena_pages pages;
};

struct arena;

/* Create, map, seal (a failed seal is fatal), chmod 0600, populate the first part.
 * -EINVAL bad options; -ENOMEM; -errno of memfd_create, ftruncate, mmap, fcntl, madvise. */
_must_use_ int arena_new(struct arena **ret_arena, const struct arena_options *options);
/* Unmap and close; no arena_populate_run() may be under way. Asserts nothing about spans in use.
 * Accepts NULL; returns NULL. */
struct arena *arena_free(struct arena *a);
DEFINE_CLEANUP(struct arena *, arena_free)

/* The sealed memfd: borrowed, valid as long as the arena. */
int arena_fd(const struct arena *a);
uint64_t arena_id(const struct arena *a);
uint64_t arena_size(const struct arena *a);
/* Bytes allocated now, rounded to granules. */
uint64_t arena_used(const struct arena *a);
/* Spans allocated now. */
uint64_t arena_n_spans(const struct arena *a);
/* Highest byte offset in use or populated: what the arena costs the host at most. */
uint64_t arena_touched(const struct arena *a);

/*
 * Allocate `length` bytes (0 is allowed and takes one granule), 64-byte aligned. O(1).
 * ret_span->length is exactly `length`.
 *
 * ARENA_E_FULL, ARENA_E_TOO_LARGE   as above
 * -ENOMEM                           bookkeeping could not grow
 */
_must_use_ int arena_alloc(struct arena *a, uint64_t length, struct span *ret_span);
/*
 * Give a span back (the whole one, as allocated; a slice of it also frees the whole). O(1). Never
 * allocates.
 *
 * -ESTALE  not of this arena, already freed, never allocated, or not within its allocation
 */
_must_use_ int arena_release(struct arena *a, const struct span *span);
/* Address of a span or slice for the owner, writable; NULL when stale or out of the bounds of its
 * allocation. */
void *arena_data(struct arena *a, const struct span *span);

/*
 * The range that should be populated next so that populate_ahead bytes above the frontier are:
 * returns true and remembers it as in progress until arena_populate_done(); false when there is
 * nothing to do or one is in progress. Whole pages, at most `max_bytes` at a time.
 */
bool arena_populate_next(
	struct arena *a, uint64_t max_bytes, uint64_t *ret_offset, uint64_t *ret_length);
/* Do it: blocking (MADV_POPULATE_WRITE; fallocate() on kernels without it). Changes no byte, so
 * spans in the range may be in use. The one function that any thread may call. -errno. */
_must_use_ int arena_populate_run(struct arena *a, uint64_t offset, uint64_t length);
/* Back on the owner's thread: the range is (ok) populated. After a failure it is not tried again
 * below this range's end. */
void arena_populate_done(struct arena *a, bool ok);

#endif
