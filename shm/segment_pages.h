/*
 * segment_pages.h: which parts of a segment are resident, which could not be made so. Knows no memory
 * but its own bits in the private heap; used by segment.c alone.
 */
#ifndef SHM_SEGMENT_PAGES_H
#define SHM_SEGMENT_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Parts [from, to) below are of one segment: from <= to <= n. */
struct segment_pages {
	uint64_t n;	  /* parts */
	uint64_t n_there; /* ... that are resident */
	uint64_t n_bad;	  /* ... for which the host had no memory */
	uint64_t low;	  /* all parts below it are there or bad */
	uint64_t *there;  /* own: a bit a part */
	uint64_t *bad;	  /* own: never of a part that is there */
};

/* -ENOMEM */
_must_use_ int segment_pages_init(struct segment_pages *p, uint64_t n);
/* Accepts a zeroed one. */
void segment_pages_deinit(struct segment_pages *p);

/* Are all of them there? */
bool segment_pages_all_there(const struct segment_pages *p, uint64_t from, uint64_t to);
/* Is any of them bad? */
bool segment_pages_any_bad(const struct segment_pages *p, uint64_t from, uint64_t to);
/* How many are not there. */
uint64_t segment_pages_missing(const struct segment_pages *p, uint64_t from, uint64_t to);
/* The lowest run of parts in [from, to) that are neither there nor bad, of at most `max` > 0; false:
 * there is none. */
bool segment_pages_next(struct segment_pages *p, uint64_t from, uint64_t to, uint64_t max,
	uint64_t *ret_from, uint64_t *ret_to);

/* They are there. */
void segment_pages_set(struct segment_pages *p, uint64_t from, uint64_t to);
/* Those that are not there cannot be had. */
void segment_pages_spoil(struct segment_pages *p, uint64_t from, uint64_t to);
/* None is bad any more: they may be tried again. */
void segment_pages_forgive(struct segment_pages *p);

#endif
