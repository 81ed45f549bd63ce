/*
 * call_queue.c: a message on its way into its stream, as it is or compressed. Large parts that have an owner are queued
 * by reference.
 *
 * Invariant: each part's release is called exactly once, whatever fails. Daemon process, loop thread.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "grpc/call_private.h"

void call_release_parts(const struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (parts[i].release)
			parts[i].release(parts[i].owner);
	}
}

static void count(struct call *c, const struct part *s, bool copied)
{
	struct calls_counters *counters = &call_calls(c)->counters;

	if (!s->bulk)
		return;
	counters->bulk_bytes_sent += s->n;
	if (copied)
		counters->bulk_bytes_copied += s->n;
}

static int queue_prefix(struct call *c, bool compressed, uint32_t n)
{
	uint8_t prefix[GRPC_PREFIX_SIZE];

	grpc_frame_prefix(prefix, compressed, n);
	return stream_queue_copy(&c->stream, prefix, sizeof(prefix));
}

static int queue_part(struct call *c, const struct part *s)
{
	bool lent = s->release && s->n >= GATHER_COPY_MAX;
	int r;

	count(c, s, !lent);
	if (lent)
		return stream_queue_lent(&c->stream, s->data, s->n, s->release, s->owner);
	r = stream_queue_copy(&c->stream, s->data, s->n);
	if (s->release)
		s->release(s->owner);
	return r;
}

int call_queue_plain(struct call *c, const struct part *parts, size_t n, uint32_t total)
{
	int r = queue_prefix(c, false, total);
	size_t i = 0;

	while (!r && i < n)
		r = queue_part(c, &parts[i++]);
	call_release_parts(parts + i, n - i);
	return r;
}

int call_queue_compressed(struct call *c, const struct part *parts, size_t n, struct buf *out)
{
	size_t n_out = out->len;
	int r = queue_prefix(c, true, (uint32_t)n_out);

	for (size_t i = 0; i < n; i++)
		count(c, &parts[i], true);
	call_release_parts(parts, n);
	if (r || n_out < GATHER_COPY_MAX) {
		if (!r)
			r = stream_queue_copy(&c->stream, out->data, n_out);
		buf_deinit(out);
		return r;
	}
	r = stream_queue_lent(&c->stream, out->data, n_out, free, out->data);
	buf_init(out, out->max);
	return r;
}
