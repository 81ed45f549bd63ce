/*
 * output.h: bytes on their way out. A piece is a run of reply bytes: copied into the piece, or lent
 * by their owner. A batch is what one writev() takes: an ordered list of segments, small ones
 * gathered in one buffer, large ones by reference. One batch serves all connections of a transport,
 * so an idle connection has no output buffer.
 */
#ifndef HTTP2_OUTPUT_H
#define HTTP2_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "http2/blocks.h"

/* Below this, copying beats one more segment. */
#define OUTPUT_COPY_MAX ((size_t)4096)

/* Reference-counted: by the stream that queues it and by each write that still needs its bytes. */
struct piece {
	struct piece *next;    /* of the stream's queue */
	struct blocks *blocks; /* borrow */
	const uint8_t *data;   /* behind the piece, or lent */
	size_t n;
	size_t cap; /* bytes behind the piece; 0: lent */
	uint32_t refs;
	void (*release)(void *owner);
	void *owner;
};

/* A piece with room for n bytes of its own; n is 0 then. NULL without memory. */
struct piece *piece_new(struct blocks *blocks, size_t n);
/* A piece lent by its owner. On failure (NULL) nothing was released. */
struct piece *piece_lent(struct blocks *blocks, const void *data, size_t n,
	void (*release)(void *owner), void *owner);
/* Append to a piece with room of its own; takes at most what fits and returns how much. */
size_t piece_append(struct piece *p, const void *data, size_t n);
struct piece *piece_ref(struct piece *p);
/* The last one calls release. Accepts NULL; returns NULL. */
struct piece *piece_unref(struct piece *p);

#define BATCH_SEGMENTS ((size_t)512)
#define BATCH_COPY     ((size_t)256 << 10)
/* A DATA frame of ours is never longer. */
#define BATCH_FRAME_MAX ((size_t)64 << 10)
#define BATCH_BYTES	((size_t)1 << 20)

struct batch {
	uv_buf_t segments[BATCH_SEGMENTS];
	struct piece *pieces[BATCH_SEGMENTS]; /* own a reference; NULL: the bytes are in `copy` */
	size_t n_segments;
	size_t n_bytes;
	size_t n_copy;
	uint8_t copy[BATCH_COPY];
};

/* No frame more must be put in. */
static inline bool batch_full(const struct batch *b)
{
	return b->n_bytes >= BATCH_BYTES || b->n_segments >= BATCH_SEGMENTS / 2 ||
	       b->n_copy >= BATCH_COPY / 2;
}
/* There is room for a frame while the batch is not full (asserted). */
void batch_copy(struct batch *b, const void *data, size_t n);
/* Bytes [offset, offset + n) of p: copied when small and p's own, else by reference. */
void batch_piece(struct batch *b, struct piece *p, size_t offset, size_t n);
/* Drop n bytes from the front: the kernel has them. Returns how many segments are done with. */
size_t batch_advance(struct batch *b, size_t n);
/* Let go of all pieces from segment `first` on, and start anew. */
void batch_reset(struct batch *b, size_t first);

#endif
