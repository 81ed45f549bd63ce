/*
 * buf.c: a growing byte buffer with a hard maximum. Capacity doubles, so that n appended bytes cost
 * O(n), and never passes max. Not shared between threads; any process.
 */
#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define CAP_FIRST 256u

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes};
}

void buf_deinit(struct buf *b)
{
	free(b->data);
	buf_init(b, b->max);
}

/* The capacity for `need` bytes, cap < need <= max. */
static size_t grown(const struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : CAP_FIRST;

	while (cap < need && cap <= b->max / 2)
		cap *= 2;
	return cap < need || cap > b->max ? b->max : cap;
}

int buf_reserve(struct buf *b, size_t more)
{
	uint8_t *data;
	size_t cap;

	if (more > b->max - b->len)
		return -ENOBUFS;
	if (more <= b->cap - b->len)
		return 0;
	cap = grown(b, b->len + more);
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t n)
{
	int r = buf_reserve(b, n);

	if (r)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (n > 0 && b->len > 0)
		memmove(b->data, b->data + n, b->len);
}
