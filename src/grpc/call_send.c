/*
 * call_send.c: reply messages: compressed when that is wanted, else queued as they are; large
 * segments with an owner by reference.
 *
 * Invariant: each segment's release is called exactly once, whatever fails. Daemon process, loop
 * thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "grpc/call_private.h"
#include "http2/session.h"
#include "http2/transport.h"

#define PIECES_MAX 64u /* of a compressed message; more go uncompressed */

static struct transport *transport_of(const struct call *c)
{
	return session_transport(c->stream.session);
}

static void release_all(const struct segment *segments, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (segments[i].release)
			segments[i].release(segments[i].owner);
	}
}

static int total_size(const struct segment *segments, size_t n, uint32_t *ret_total)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (segments[i].n > UINT32_MAX - total)
			return -EMSGSIZE;
		total += segments[i].n;
	}
	*ret_total = (uint32_t)total;
	return 0;
}

static void count(struct call *c, const struct segment *s, bool copied)
{
	struct frontend_counters *counters = &transport_of(c)->counters;

	if (!s->tensor)
		return;
	counters->tensor_bytes_sent += s->n;
	if (copied)
		counters->tensor_bytes_copied_out += s->n;
}

static int queue_prefix(struct call *c, bool compressed, uint32_t n)
{
	uint8_t prefix[GRPC_PREFIX_SIZE];

	grpc_frame_prefix(prefix, compressed, n);
	return stream_queue_copy(&c->stream, prefix, sizeof(prefix));
}

static int queue_segment(struct call *c, const struct segment *s)
{
	bool lent = s->release && s->n >= OUTPUT_COPY_MAX;
	int r;

	count(c, s, !lent);
	if (lent)
		return stream_queue_lent(&c->stream, s->data, s->n, s->release, s->owner);
	r = stream_queue_copy(&c->stream, s->data, s->n);
	if (s->release)
		s->release(s->owner);
	return r;
}

static int queue_plain(struct call *c, const struct segment *segments, size_t n, uint32_t total)
{
	int r = queue_prefix(c, false, total);
	size_t i = 0;

	while (!r && i < n)
		r = queue_segment(c, &segments[i++]);
	release_all(segments + i, n - i);
	return r;
}

/* Returns whether it is worth it: out is filled then. */
static bool compress(
	struct call *c, const struct segment *segments, size_t n, uint32_t total, struct buf *out)
{
	struct deflate_piece pieces[PIECES_MAX];

	if (n > PIECES_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		pieces[i] = (struct deflate_piece){segments[i].data, segments[i].n};
	/* What does not get smaller goes as it is; so does what there is no memory for. */
	return codec_compress(c->reply_codec, pieces, n, out) == 0 && out->len < total;
}

static int queue_compressed(
	struct call *c, const struct segment *segments, size_t n, struct buf *out)
{
	size_t n_out = out->len;
	int r = queue_prefix(c, true, (uint32_t)n_out);

	for (size_t i = 0; i < n; i++)
		count(c, &segments[i], true);
	release_all(segments, n);
	if (r || n_out < OUTPUT_COPY_MAX) {
		if (!r)
			r = stream_queue_copy(&c->stream, out->data, n_out);
		buf_deinit(out);
		return r;
	}
	return stream_queue_lent(&c->stream, out->data, n_out, free, out->data);
}

static int queue_message(struct call *c, const struct segment *segments, size_t n, uint32_t total)
{
	struct buf out;

	if (c->reply_codec == CODEC_IDENTITY ||
		total < transport_of(c)->settings->compression_min_bytes)
		return queue_plain(c, segments, n, total);
	buf_init(&out, total);
	if (compress(c, segments, n, total, &out))
		return queue_compressed(c, segments, n, &out);
	buf_deinit(&out);
	return queue_plain(c, segments, n, total);
}

int call_send(struct call *c, const struct segment *segments, size_t n)
{
	struct stream *s = &c->stream;
	uint32_t total;
	int r;

	assert(c->phase == CALL_OPEN && !c->broken);
	r = total_size(segments, n, &total);
	if (r) {
		release_all(segments, n);
		return r;
	}
	r = queue_message(c, segments, n, total);
	if (r && !s->headers_sent) {
		/* Nothing has left: the caller's status can still stand alone. */
		stream_drop_output(s);
		return r;
	}
	c->broken = r != 0;
	if (!s->headers_sent)
		stream_respond(
			s, c->reply_codec == CODEC_IDENTITY ? NULL : codec_name(c->reply_codec));
	else
		stream_resume(s);
	return r;
}
