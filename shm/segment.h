/*
 * segment.h: one piece of shared memory, seen by its owner: the only process that writes and
 * allocates in it.
 *
 * A memfd, mapped read-write, then sealed SHRINK|GROW|FUTURE_WRITE|SEAL: nobody else can ever map
 * it writable or make it shorter. Left out of core dumps and of forks. All bookkeeping is in the
 * private heap (two-level segregated fit: O(1) allocate and free, immediate coalescing, 64-byte
 * granules, no other rounding), so nothing that another process does can corrupt it.
 *
 * What is to be touched must have been populated before, in parts of SEGMENT_PART bytes. So a host
 * without memory gives an error to who asks for some, and never SIGBUS to who uses it. Pages once there
 * stay until segment_free(): the seals refuse holes.
 * Single-threaded, but for segment_populate_run().
 */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/span.h"

#define SEGMENT_ALIGN 64u
#define SEGMENT_PART  (UINT64_C(64) << 10)

enum {
	SEGMENT_E_FULL = 1,   /* no free piece is large enough */
	SEGMENT_E_MEMORY = 2, /* only where the host has no memory for pages */
};

enum segment_page_size {
	SEGMENT_PAGES_BASE, /* 4 KiB pages */
	SEGMENT_PAGES_THP, /* ask for transparent huge pages (MADV_HUGEPAGE); silent where refused */
};

struct segment_options {
	const char *name; /* borrow during segment_new(); shown in /proc/PID/maps */
	uint64_t size;	  /* bytes; rounded up to whole pages; > 0 */
	enum segment_page_size pages;
	uint32_t
		numa_node; /* whose memory it is made of, where there is some (memfd_prefer_node()); 0: any */
};

struct segment;

/* Create, map, seal; no page is resident yet. Its id is 0 until segment_set_id().
 * -EINVAL bad options; -ENOMEM; -errno of memfd_create, ftruncate, mmap, fcntl, madvise */
_must_use_ int segment_new(struct segment **ret_segment, const struct segment_options *options);
/* Unmap and close; no segment_populate_run() may be under way. Asserts nothing about spans in use.
 * May take long where much is resident: any thread. Accepts NULL; returns NULL. */
struct segment *segment_free(struct segment *s);
DEFINE_CLEANUP(struct segment *, segment_free)

/* Before the first span is cut: not 0, and unique among what a receiver knows. */
void segment_set_id(struct segment *s, uint64_t id);
uint64_t segment_id(const struct segment *s);
/* The sealed memfd: borrowed, valid as long as the segment. */
int segment_fd(const struct segment *s);
uint64_t segment_size(const struct segment *s);
/* Where it is mapped: for those who register memory with a device. */
void *segment_base(const struct segment *s);
/* Bytes allocated now, rounded to granules. */
uint64_t segment_used(const struct segment *s);
/* Spans allocated now. */
uint64_t segment_n_spans(const struct segment *s);
/* The end of the highest span in use: free space below it is preferred. */
uint64_t segment_frontier(const struct segment *s);
/* Bytes that are resident. */
uint64_t segment_resident(const struct segment *s);

/*
 * Allocate `length` bytes (0 is allowed and takes one granule), 64-byte aligned. O(1).
 * ret_span->length is exactly `length`. Whether its pages are there, segment_missing() says.
 *
 * SEGMENT_E_FULL, SEGMENT_E_MEMORY  as above
 * -ENOMEM                           bookkeeping could not grow
 */
_must_use_ int segment_alloc(struct segment *s, uint64_t length, struct span *ret_span);
/*
 * Give a span back (the whole one, as allocated; a slice of it also frees the whole). O(1). Never
 * allocates. With the last one, a failure to populate is forgotten: the host may have memory again.
 *
 * -ESTALE  not of this segment, already freed, never allocated, or not within its allocation
 */
_must_use_ int segment_release(struct segment *s, const struct span *span);
/* Address of a span or slice for the owner, writable; NULL when stale or out of the bounds of its
 * allocation. Not to be touched before it is resident. */
void *segment_data(struct segment *s, const struct span *span);

/* Bytes that must be populated before this span of the segment's may be touched; 0: none; UINT64_MAX:
 * the host had no memory for them. */
uint64_t segment_missing(const struct segment *s, const struct span *span);
/*
 * The range to be populated next so that all below offset `goal` (clamped to the size) is resident:
 * returns true and remembers it as in progress until segment_populate_done(); false when there is
 * nothing to do that has not failed before, or one is in progress. Whole parts, at most `max_bytes`, but
 * one at least.
 */
bool segment_populate_next(struct segment *s, uint64_t goal, uint64_t max_bytes,
	uint64_t *ret_offset, uint64_t *ret_length);
/* Do it: blocking. Changes no byte. The one function that any thread may call. -errno */
_must_use_ int segment_populate_run(const struct segment *s, uint64_t offset, uint64_t length);
/* Back on the owner's thread with its result. After a failure nothing is allocated any more in those
 * parts of the range that are not there. */
void segment_populate_done(struct segment *s, int result);
/* Populate what the span is missing, at once. SEGMENT_E_MEMORY: the span can only be released. */
_must_use_ int segment_populate_span(struct segment *s, const struct span *span);

#endif
