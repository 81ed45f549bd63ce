/*
 * gather.h: bytes on their way out. A piece is a run of reply bytes: copied into the piece, or lent
 * by their owner. A gather is what one writev() takes: an ordered list of buffers, small ones
 * gathered in one buffer, large ones by reference. One gather serves all connections of a transport,
 * so an idle connection has no output buffer.
 */
#ifndef HTTP2_GATHER_H
#define HTTP2_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "http2/blocks.h"

/* Below this, copying beats one more buffer. */
#define GATHER_COPY_MAX ((size_t)4096)

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

#define GATHER_BUFS ((size_t)512)
#define GATHER_COPY ((size_t)256 << 10)
/* A DATA frame of ours is never longer. */
#define GATHER_FRAME_MAX ((size_t)64 << 10)
#define GATHER_BYTES	 ((size_t)1 << 20)

struct gather {
	uv_buf_t bufs[GATHER_BUFS];
	struct piece *pieces[GATHER_BUFS]; /* own a reference; NULL: the bytes are in `copy` */
	size_t n_bufs;
	size_t n_bytes;
	size_t n_copy;
	uint8_t copy[GATHER_COPY];
};

/* No frame more must be put in. */
static inline bool gather_full(const struct gather *b)
{
	return b->n_bytes >= GATHER_BYTES || b->n_bufs >= GATHER_BUFS / 2 ||
	       b->n_copy >= GATHER_COPY / 2;
}
/* There is room for a frame while the gather is not full (asserted). */
void gather_copy(struct gather *b, const void *data, size_t n);
/* Bytes [offset, offset + n) of p: copied when small and p's own, else by reference. */
void gather_piece(struct gather *b, struct piece *p, size_t offset, size_t n);
/* Drop n bytes from the front: the kernel has them. Returns how many buffers are done with. */
size_t gather_advance(struct gather *b, size_t n);
/* Let go of all pieces from buffer `first` on, and start anew. */
void gather_reset(struct gather *b, size_t first);

#endif
