/*
 * gather.c: pieces and the gather. Invariants: a piece with cap 0 is lent and its owner is released
 * exactly once, by the last reference; in a gather, buffers are in the order of the wire and
 * n_bytes is their sum. Daemon process, loop thread.
 */
#include "http2/gather.h"

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

static void add_buffer(struct gather *b, const void *data, size_t n, struct piece *p)
{
	assert(b->n_bufs < GATHER_BUFS);
	b->bufs[b->n_bufs] = uv_buf_init((char *)data, (unsigned)n);
	b->pieces[b->n_bufs++] = p;
}

/* Does the last buffer end where the next copied byte goes? */
static bool continues(const struct gather *b)
{
	const uv_buf_t *last = &b->bufs[b->n_bufs - 1];

	return !b->pieces[b->n_bufs - 1] &&
	       (const uint8_t *)last->base + last->len == b->copy + b->n_copy;
}

void gather_copy(struct gather *b, const void *data, size_t n)
{
	assert(n <= GATHER_COPY - b->n_copy);
	if (!n)
		return;
	memcpy(b->copy + b->n_copy, data, n);
	if (b->n_bufs && continues(b))
		b->bufs[b->n_bufs - 1].len += n;
	else
		add_buffer(b, b->copy + b->n_copy, n, NULL);
	b->n_copy += n;
	b->n_bytes += n;
}

void gather_piece(struct gather *b, struct piece *p, size_t offset, size_t n)
{
	assert(offset <= p->n && n <= p->n - offset);
	if (p->cap && n < GATHER_COPY_MAX) {
		gather_copy(b, p->data + offset, n);
		return;
	}
	add_buffer(b, p->data + offset, n, piece_ref(p));
	b->n_bytes += n;
}

size_t gather_advance(struct gather *b, size_t n)
{
	size_t done = 0;

	assert(n <= b->n_bytes);
	b->n_bytes -= n;
	while (n && n >= b->bufs[done].len) {
		n -= b->bufs[done].len;
		b->pieces[done] = piece_unref(b->pieces[done]);
		done++;
	}
	if (n) {
		b->bufs[done].base += n;
		b->bufs[done].len -= n;
	}
	return done;
}

void gather_reset(struct gather *b, size_t first)
{
	for (size_t i = first; i < b->n_bufs; i++)
		b->pieces[i] = piece_unref(b->pieces[i]);
	b->n_bufs = 0;
	b->n_bytes = 0;
	b->n_copy = 0;
}
