/*
 * codec.c: message compression by zlib.
 *
 * windowBits says which format zlib speaks: 15 is RFC 1950 ("deflate" in gRPC and HTTP), 15 + 16 is
 * RFC 1952 (gzip). A message is one stream; a second gzip member behind the first is refused, as
 * anything else behind the end. Daemon process, loop thread.
 */
#include "grpc/codec.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define WINDOW_ZLIB 15
#define WINDOW_GZIP (15 + 16)
/* Fast: what is compressed here waits for it on the loop. */
#define LEVEL	     1
#define MEMORY_LEVEL 8
#define OUTPUT_STEP  16384u

static const char *const names[] = {
	[CODEC_IDENTITY] = "identity",
	[CODEC_GZIP] = "gzip",
	[CODEC_DEFLATE] = "deflate",
};

static bool equal(const char *name, const char *text, size_t n)
{
	return strlen(name) == n && !memcmp(name, text, n);
}

enum codec codec_parse(const char *name, size_t n)
{
	if (n == 0)
		return CODEC_IDENTITY;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (equal(names[i], name, n))
			return (enum codec)i;
	}
	return CODEC_UNKNOWN;
}

const char *codec_name(enum codec c)
{
	assert(c < CODEC_UNKNOWN);
	return names[c];
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

bool codec_listed(enum codec c, const char *list, size_t n)
{
	size_t at = 0;

	if (c == CODEC_IDENTITY)
		return true;
	if (c >= CODEC_UNKNOWN)
		return false;
	while (at < n) {
		const char *comma = memchr(list + at, ',', n - at);
		size_t end = comma ? (size_t)(comma - list) : n;
		size_t last = end;

		while (at < last && is_space(list[at]))
			at++;
		while (last > at && is_space(list[last - 1]))
			last--;
		if (equal(names[c], list + at, last - at))
			return true;
		at = end + 1;
	}
	return false;
}

struct inflater {
	z_stream z;
	bool complete;
};

static void *z_alloc(void *data, unsigned n, unsigned size)
{
	(void)data;
	return calloc(n, size);
}

static void z_free(void *data, void *p)
{
	(void)data;
	free(p);
}

static int window_bits(enum codec c)
{
	assert(c == CODEC_GZIP || c == CODEC_DEFLATE);
	return c == CODEC_GZIP ? WINDOW_GZIP : WINDOW_ZLIB;
}

int inflater_new(struct inflater **ret_inflater, enum codec c)
{
	struct inflater *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->z.zalloc = z_alloc;
	i->z.zfree = z_free;
	if (inflateInit2(&i->z, window_bits(c)) != Z_OK) {
		free(i);
		return -ENOMEM;
	}
	*ret_inflater = i;
	return 0;
}

struct inflater *inflater_free(struct inflater *i)
{
	if (!i)
		return NULL;
	inflateEnd(&i->z);
	free(i);
	return NULL;
}

void inflater_reset(struct inflater *i, enum codec c)
{
	int r = inflateReset2(&i->z, window_bits(c));

	/* The window's size is the same for both, so nothing is allocated. */
	assert(r == Z_OK);
	(void)r;
	i->complete = false;
}

static unsigned clamp(size_t n)
{
	return n > UINT_MAX ? UINT_MAX : (unsigned)n;
}

int inflater_read(struct inflater *i, const uint8_t **data, size_t *n, uint8_t *out, size_t cap,
	size_t *ret_n)
{
	unsigned given = clamp(*n);
	unsigned room = clamp(cap);
	int r;

	if (i->complete) {
		if (*n > 0)
			return INFLATER_E_DATA;
		*ret_n = 0;
		return 0;
	}
	i->z.next_in = (uint8_t *)*data;
	i->z.avail_in = given;
	i->z.next_out = out;
	i->z.avail_out = room;
	r = inflate(&i->z, Z_NO_FLUSH);
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: nothing to do now, more input is needed. */
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return INFLATER_E_DATA;
	i->complete = r == Z_STREAM_END;
	*data += given - i->z.avail_in;
	*n -= given - i->z.avail_in;
	*ret_n = room - i->z.avail_out;
	return 0;
}

bool inflater_complete(const struct inflater *i)
{
	return i->complete;
}

struct deflater {
	z_stream z;
};

int deflater_new(struct deflater **ret_deflater, enum codec c)
{
	struct deflater *d;

	if (c != CODEC_GZIP && c != CODEC_DEFLATE)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->z.zalloc = z_alloc;
	d->z.zfree = z_free;
	if (deflateInit2(&d->z, LEVEL, Z_DEFLATED, window_bits(c), MEMORY_LEVEL,
		    Z_DEFAULT_STRATEGY) != Z_OK) {
		free(d);
		return -ENOMEM;
	}
	*ret_deflater = d;
	return 0;
}

struct deflater *deflater_free(struct deflater *d)
{
	if (!d)
		return NULL;
	deflateEnd(&d->z);
	free(d);
	return NULL;
}

/* Give what z has left of its input to `out`; until the stream's end when flush is Z_FINISH. */
static int deflate_some(z_stream *z, int flush, struct buf *out)
{
	int z_result = Z_OK;

	do {
		size_t room = out->max - out->len < OUTPUT_STEP ? out->max - out->len : OUTPUT_STEP;
		int r = room > 0 ? buf_reserve(out, room) : -ENOBUFS;

		if (r)
			return r;
		z->next_out = out->data + out->len;
		z->avail_out = (unsigned)room;
		z_result = deflate(z, flush);
		assert(z_result != Z_STREAM_ERROR);
		out->len += room - z->avail_out;
	} while (flush == Z_FINISH ? z_result != Z_STREAM_END : z->avail_in > 0);
	return 0;
}

int deflater_write(struct deflater *d, const void *data, size_t n, bool last, struct buf *out)
{
	const uint8_t *at = data;

	while (n > 0) {
		unsigned some = clamp(n);
		int r;

		d->z.next_in = (uint8_t *)at;
		d->z.avail_in = some;
		r = deflate_some(&d->z, Z_NO_FLUSH, out);
		if (r)
			return r;
		at += some;
		n -= some;
	}
	return last ? deflate_some(&d->z, Z_FINISH, out) : 0;
}

int codec_compress(
	enum codec c, const struct deflate_piece *pieces, size_t n_pieces, struct buf *out)
{
	_cleanup_(deflater_freep) struct deflater *d = NULL;
	int r = deflater_new(&d, c);

	for (size_t i = 0; i < n_pieces && !r; i++)
		r = deflater_write(d, pieces[i].data, pieces[i].n, false, out);
	return r ? r : deflater_write(d, NULL, 0, true, out);
}
