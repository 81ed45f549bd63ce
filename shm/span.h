/*
 * span.h: all that crosses a socket about a piece of shared memory. Only shm/ computes with
 * offsets; everybody else carries a span as an opaque value.
 */
#ifndef SHM_SPAN_H
#define SHM_SPAN_H

#include <stddef.h>
#include <stdint.h>

struct span {
	uint64_t arena;	     /* the id of its segment, or region; 0 is never valid */
	uint64_t generation; /* stamps this allocation; a freed one is refused by the owner */
	uint64_t offset;     /* bytes from the start of that */
	uint64_t length;     /* bytes */
};

/* A span of `length` bytes that starts `from` bytes into `s`. The caller has checked that
 * from <= s.length and length <= s.length - from (asserted). */
struct span span_slice(struct span s, uint64_t from, uint64_t length);
/* Where it lies in memory of `size` bytes from `base` on, which is its segment or region; NULL: not wholly inside. */
static inline void *span_at(const struct span *s, void *base, uint64_t size)
{
	if (s->offset > size || s->length > size - s->offset)
		return NULL;
	return (char *)base + s->offset;
}

#endif
