/*
 * buf.h: a growing byte buffer with a hard maximum. Invariants: len <= cap <= max; data is NULL
 * only while cap is 0. Owns its memory.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct buf {
	uint8_t *data; /* own */
	size_t len;
	size_t cap;
	size_t max;
};

/* max_bytes: the most the buffer may ever hold. Allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);
/* Free the memory; the buffer is as after buf_init() with the same max. Accepts a zeroed buf. */
void buf_deinit(struct buf *b);
/* Forget the content, keep the memory. */
static inline void buf_reset(struct buf *b)
{
	b->len = 0;
}

/*
 * Make room for `more` bytes behind len (capacity doubles).
 *
 * -ENOBUFS  the content would exceed max
 * -ENOMEM   out of memory; content untouched
 */
_must_use_ int buf_reserve(struct buf *b, size_t more);
/* Append n bytes; errors as buf_reserve(). `data` may be NULL when n is 0. */
_must_use_ int buf_append(struct buf *b, const void *data, size_t n);
/* Drop n <= len bytes from the front (memmove). */
void buf_consume(struct buf *b, size_t n);

#endif
