/*
 * codec.h: message compression of gRPC (PROTOCOL-HTTP2.md, "Compression"): gzip (RFC 1952) and
 * deflate (the zlib format, RFC 1950). One codec a message: no context is kept from one to the
 * next.
 */
#ifndef GRPC_CODEC_H
#define GRPC_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum codec {
	CODEC_IDENTITY,
	CODEC_GZIP,
	CODEC_DEFLATE,
	CODEC_UNKNOWN, /* named, but not ours */
};

/* What we decode, for grpc-accept-encoding and for error texts. */
#define CODEC_ACCEPTED "identity,deflate,gzip"

/* A grpc-encoding value; "" is CODEC_IDENTITY. Case-sensitive. */
enum codec codec_parse(const char *name, size_t n);
/* "identity", "gzip", "deflate". */
const char *codec_name(enum codec c);
/* Is `c` in a grpc-accept-encoding list (comma-separated, spaces allowed)? Identity always is. */
bool codec_listed(enum codec c, const char *list, size_t n);

enum {
	INFLATER_E_DATA = 1, /* not valid, or bytes behind its end */
};

struct inflater;

/* c: gzip or deflate. -ENOMEM */
_must_use_ int inflater_new(struct inflater **ret_inflater, enum codec c);
struct inflater *inflater_free(struct inflater *z);
DEFINE_CLEANUP(struct inflater *, inflater_free)
/* Start over with the next message. */
void inflater_reset(struct inflater *z, enum codec c);
/*
 * Inflate from *data, *n (advanced) into out, at most cap bytes; *ret_n is how many came. Nothing
 * came and *n is 0: all is consumed. INFLATER_E_DATA, -ENOMEM
 */
_must_use_ int inflater_read(struct inflater *z, const uint8_t **data, size_t *n, uint8_t *out,
	size_t cap, size_t *ret_n);
/* Has the stream come to its proper end? Asked when the message's bytes are all in. */
bool inflater_complete(const struct inflater *z);

struct deflater;

/* c: gzip or deflate. -ENOMEM, -EINVAL */
_must_use_ int deflater_new(struct deflater **ret_deflater, enum codec c);
struct deflater *deflater_free(struct deflater *z);
DEFINE_CLEANUP(struct deflater *, deflater_free)
/* Compress n bytes to the end of `out`; `last`: they end the message. -ENOMEM, -ENOBUFS (out's maximum) */
_must_use_ int deflater_write(
	struct deflater *z, const void *data, size_t n, bool last, struct buf *out);

struct deflate_piece {
	const void *data;
	size_t n;
};

/* Compress pieces into `out` (appended). -ENOMEM, -ENOBUFS (out's maximum), -EINVAL (identity) */
_must_use_ int codec_compress(
	enum codec c, const struct deflate_piece *pieces, size_t n_pieces, struct buf *out);

#endif
