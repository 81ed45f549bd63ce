/*
 * output.c: pieces and the batch. Invariants: a piece with cap 0 is lent and its owner is released
 * exactly once, by the last reference; in a batch, segments are in the order of the wire and
 * n_bytes is their sum. Daemon process, loop thread.
 */
#include "http2/output.h"

#include <assert.h>
#include <string.h>

static uint8_t *piece_room(struct piece *p)
{
	return (uint8_t *)(p + 1);
}

struct piece *piece_new(struct blocks *blocks, size_t n)
{
	struct piece *p = blocks_take(blocks, sizeof(*p) + n);

	if (!p)
		return NULL;
	*p = (struct piece){.blocks = blocks, .cap = n, .refs = 1};
	p->data = piece_room(p);
	return p;
}

struct piece *piece_lent(struct blocks *blocks, const void *data, size_t n,
	void (*release)(void *owner), void *owner)
{
	struct piece *p = piece_new(blocks, 0);

	if (!p)
		return NULL;
	p->data = data;
	p->n = n;
	p->release = release;
	p->owner = owner;
	return p;
}

size_t piece_append(struct piece *p, const void *data, size_t n)
{
	size_t room = p->cap - (p->cap ? p->n : 0);

	if (n > room)
		n = room;
	if (n) {
		memcpy(piece_room(p) + p->n, data, n);
		p->n += n;
	}
	return n;
}

struct piece *piece_ref(struct piece *p)
{
	p->refs++;
	return p;
}

struct piece *piece_unref(struct piece *p)
{
	if (!p)
		return NULL;
	assert(p->refs > 0);
	if (--p->refs > 0)
		return NULL;
	if (p->release)
		p->release(p->owner);
	blocks_give(p->blocks, p, sizeof(*p) + p->cap);
	return NULL;
}

static void add_segment(struct batch *b, const void *data, size_t n, struct piece *p)
{
	assert(b->n_segments < BATCH_SEGMENTS);
	b->segments[b->n_segments] = uv_buf_init((char *)data, (unsigned)n);
	b->pieces[b->n_segments++] = p;
}

/* Does the last segment end where the next copied byte goes? */
static bool continues(const struct batch *b)
{
	const uv_buf_t *last = &b->segments[b->n_segments - 1];

	return !b->pieces[b->n_segments - 1] &&
	       (const uint8_t *)last->base + last->len == b->copy + b->n_copy;
}

void batch_copy(struct batch *b, const void *data, size_t n)
{
	assert(n <= BATCH_COPY - b->n_copy);
	if (!n)
		return;
	memcpy(b->copy + b->n_copy, data, n);
	if (b->n_segments && continues(b))
		b->segments[b->n_segments - 1].len += n;
	else
		add_segment(b, b->copy + b->n_copy, n, NULL);
	b->n_copy += n;
	b->n_bytes += n;
}

void batch_piece(struct batch *b, struct piece *p, size_t offset, size_t n)
{
	assert(offset <= p->n && n <= p->n - offset);
	if (p->cap && n < OUTPUT_COPY_MAX) {
		batch_copy(b, p->data + offset, n);
		return;
	}
	add_segment(b, p->data + offset, n, piece_ref(p));
	b->n_bytes += n;
}

size_t batch_advance(struct batch *b, size_t n)
{
	size_t done = 0;

	assert(n <= b->n_bytes);
	b->n_bytes -= n;
	while (n && n >= b->segments[done].len) {
		n -= b->segments[done].len;
		b->pieces[done] = piece_unref(b->pieces[done]);
		done++;
	}
	if (n) {
		b->segments[done].base += n;
		b->segments[done].len -= n;
	}
	return done;
}

void batch_reset(struct batch *b, size_t first)
{
	for (size_t i = first; i < b->n_segments; i++)
		b->pieces[i] = piece_unref(b->pieces[i]);
	b->n_segments = 0;
	b->n_bytes = 0;
	b->n_copy = 0;
}
