/*
 * call_send.c: what leaves: reply messages, the status, pages. Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/call_private.h"

static int total_size(const struct part *parts, size_t n, uint32_t *ret_total)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (parts[i].n > UINT32_MAX - total)
			return -EMSGSIZE;
		total += parts[i].n;
	}
	*ret_total = (uint32_t)total;
	return 0;
}

static struct header text_header(const char *name, const char *value, size_t n, unsigned flags)
{
	return (struct header){name, value, strlen(name), n, flags};
}

static void respond(struct call *c)
{
	struct header headers[4] = {
		HEADER_LITERAL(":status", "200"),
		HEADER_LITERAL("content-type", "application/grpc"),
	};
	const char *encoding = codec_name(c->reply_codec);
	size_t n = 2;

	/* A client that names no compression of its own is not interested in ours. */
	if (c->headers.names_encodings)
		headers[n++] =
			(struct header)HEADER_LITERAL("grpc-accept-encoding", CODEC_ACCEPTED);
	if (c->reply_codec != CODEC_IDENTITY)
		headers[n++] =
			text_header("grpc-encoding", encoding, strlen(encoding), HEADER_STATIC);
	stream_respond(&c->stream, headers, n);
}

int call_send(struct call *c, const struct part *parts, size_t n)
{
	struct stream *s = &c->stream;
	uint32_t total;
	int r;

	assert(c->phase == CALL_OPEN);
	/* What was kept could not be queued: the stream is reset already. */
	r = c->broken ? -ENOMEM : total_size(parts, n, &total);
	if (r) {
		call_release_parts(parts, n);
		return r;
	}
	r = call_queue_message(c, parts, n, total);
	if (r && !s->headers_sent) {
		/* Nothing has left: the caller's status can still stand alone. */
		stream_drop_output(s);
		return r;
	}
	if (r) {
		c->broken = true;
		call_drop_replies(c);
	}
	if (!s->headers_sent)
		respond(c);
	else
		stream_resume(s);
	return r;
}

/* --- the end ---------------------------------------------------------------------------------- */

static size_t put_status(const struct call *c, const char *text, size_t n, struct header *ret)
{
	const char *digits = grpc_status_digits((int)c->status);

	ret[0] = text_header("grpc-status", digits, strlen(digits), HEADER_STATIC);
	if (!n)
		return 1;
	ret[1] = text_header("grpc-message", text, n, HEADER_UNIQUE);
	return 2;
}

size_t call_trailers(struct call *c, struct header *ret_trailers)
{
	return put_status(c, c->text, c->n_text, ret_trailers);
}

/* Trailers-Only */
static void send_status_alone(struct call *c, unsigned http_status, const char *text, size_t n)
{
	char digits[8];
	size_t n_digits = (size_t)snprintf(digits, sizeof(digits), "%u", http_status);
	struct header headers[5] = {
		text_header(":status", digits, n_digits, 0),
		HEADER_LITERAL("content-type", "application/grpc"),
		HEADER_LITERAL("grpc-accept-encoding", CODEC_ACCEPTED),
	};

	stream_respond_alone(&c->stream, headers, 3 + put_status(c, text, n, headers + 3));
}

/* Until the trailers are due. Without memory for it the status goes alone. */
static void keep_text(struct call *c, const char *text, size_t n)
{
	if (!n)
		return;
	c->text = blocks_take(&call_transport(c)->blocks, n);
	if (!c->text)
		return;
	memcpy(c->text, text, n);
	c->n_text = n;
}

void call_send_status(
	struct call *c, unsigned http_status, enum grpc_status status, const char *text, size_t n)
{
	char encoded[GRPC_MESSAGE_ENCODED_MAX];
	size_t n_encoded = n ? grpc_message_encode(text, n, encoded) : 0;

	c->status = status;
	if (!c->stream.headers_sent) {
		send_status_alone(c, http_status, encoded, n_encoded);
		return;
	}
	keep_text(c, encoded, n_encoded);
	if (list_empty(&c->replies))
		stream_end(&c->stream, true);
	else
		c->end_waits = true;
}

void call_send_unread(struct call *c)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "the reply was not read for send_timeout_ms (%llu)",
		(unsigned long long)call_transport(c)->settings->send_timeout_ms);

	call_drop_replies(c);
	blocks_give(&call_transport(c)->blocks, c->text, c->n_text);
	c->text = NULL;
	c->n_text = 0;
	c->status = GRPC_DEADLINE_EXCEEDED;
	keep_text(c, text, (size_t)n);
	stream_cut(&c->stream);
}

void call_send_page(struct call *c, unsigned http_status, const char *body, bool head)
{
	struct stream *s = &c->stream;
	size_t n_body = strlen(body);
	char digits[8];
	char length[24];
	size_t n_digits = (size_t)snprintf(digits, sizeof(digits), "%u", http_status);
	size_t n_length = (size_t)snprintf(length, sizeof(length), "%zu", n_body);
	const struct header headers[] = {
		text_header(":status", digits, n_digits, 0),
		HEADER_LITERAL("content-type", "text/plain; charset=utf-8"),
		text_header("content-length", length, n_length, 0),
		HEADER_LITERAL("allow", "POST"),
	};
	size_t n = http_status == 405 ? 4 : 3;

	if (head) {
		stream_respond_alone(s, headers, n);
		return;
	}
	if (stream_queue_copy(s, body, n_body)) {
		stream_cancel(s);
		return;
	}
	stream_respond(s, headers, n);
	stream_end(s, false);
}
