/*
 * session_reply.c: replies into HTTP/2: headers, body, trailers, pages, resets. Body bytes are
 * never copied into nghttp2: the data source only says how many there are (NO_COPY), and
 * on_send_data() takes them from the stream's queue into the batch.
 *
 * Trailers are submitted where the data source says EOF: earlier they would overtake the body.
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/codec.h"
#include "http2/session_private.h"

#define RESETS_A_MINUTE 100u

/* Header with a name and value that live as long as the program. */
#define STATIC_NV(name, value)                                                                     \
	{                                                                                          \
		(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,        \
			NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE               \
	}

static nghttp2_nv text_nv(const char *name, const char *value, size_t n, uint8_t flags)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), n,
		(uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_NAME)};
}

static nghttp2_nv status_nv(enum grpc_status status)
{
	const char *digits = grpc_status_digits((int)status);

	return text_nv("grpc-status", digits, strlen(digits), NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

/* Texts differ each time: they must not push what repeats out of the peer's table. */
static nghttp2_nv message_nv(const char *encoded, size_t n)
{
	return text_nv("grpc-message", encoded, n, NGHTTP2_NV_FLAG_NO_INDEX);
}

static int submit_trailers(struct stream *s)
{
	nghttp2_nv nv[2];
	size_t n = 0;

	nv[n++] = status_nv(s->status);
	if (s->n_message)
		nv[n++] = message_nv(s->message, s->n_message);
	return nghttp2_submit_trailer(s->session->ng, s->id, nv, n);
}

static ssize_t read_output(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *data)
{
	struct stream *s = source->ptr;
	size_t n = s->queued_bytes < length ? s->queued_bytes : length;

	if (n == 0 && !s->ended) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < s->queued_bytes || !s->ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (!s->plain) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		session_check(s->session, submit_trailers(s));
	}
	return (ssize_t)n;
}

static void submit(struct stream *s, const nghttp2_nv *nv, size_t n, bool with_body)
{
	nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_output};

	if (s->reset)
		return;
	s->headers_sent = true;
	session_check(s->session, nghttp2_submit_response(s->session->ng, s->id, nv, n,
					  with_body ? &provider : NULL));
	session_mark_dirty(s->session);
}

void stream_respond(struct stream *s, const char *encoding)
{
	nghttp2_nv nv[4] = {
		STATIC_NV(":status", "200"),
		STATIC_NV("content-type", "application/grpc"),
		STATIC_NV("grpc-accept-encoding", CODEC_ACCEPTED),
	};
	size_t n = 3;

	assert(!s->headers_sent);
	if (encoding)
		nv[n++] = text_nv(
			"grpc-encoding", encoding, strlen(encoding), NGHTTP2_NV_FLAG_NO_COPY_VALUE);
	submit(s, nv, n, true);
}

void stream_resume(struct stream *s)
{
	if (s->reset || !s->headers_sent)
		return;
	if (s->deferred) {
		s->deferred = false;
		session_check(s->session, nghttp2_session_resume_data(s->session->ng, s->id));
	}
	session_mark_dirty(s->session);
}

static void respond_only(
	struct stream *s, unsigned http_status, const char *encoded, size_t n_encoded)
{
	char digits[8];
	int n_digits = snprintf(digits, sizeof(digits), "%u", http_status);
	nghttp2_nv nv[5] = {
		text_nv(":status", digits, (size_t)n_digits, 0),
		STATIC_NV("content-type", "application/grpc"),
		STATIC_NV("grpc-accept-encoding", CODEC_ACCEPTED),
		status_nv(s->status),
	};
	size_t n = 4;

	if (n_encoded)
		nv[n++] = message_nv(encoded, n_encoded);
	submit(s, nv, n, false);
}

void stream_end(
	struct stream *s, unsigned http_status, enum grpc_status status, const char *text, size_t n)
{
	char encoded[GRPC_MESSAGE_ENCODED_MAX];
	size_t n_encoded = n ? grpc_message_encode(text, n, encoded) : 0;

	assert(!s->ended);
	s->ended = true;
	s->awaits_input = false;
	s->status = status;
	if (!s->headers_sent) {
		respond_only(s, http_status, encoded, n_encoded);
		return;
	}
	if (n_encoded) {
		s->message = blocks_take(&s->session->transport->blocks, n_encoded);
		if (s->message) {
			memcpy(s->message, encoded, n_encoded);
			s->n_message = n_encoded;
		}
	}
	stream_resume(s);
}

void stream_page(struct stream *s, unsigned http_status, const char *body, size_t n, bool head)
{
	char digits[8];
	char length[24];
	int n_digits = snprintf(digits, sizeof(digits), "%u", http_status);
	int n_length = snprintf(length, sizeof(length), "%zu", n);
	nghttp2_nv nv[4] = {
		text_nv(":status", digits, (size_t)n_digits, 0),
		STATIC_NV("content-type", "text/plain; charset=utf-8"),
		text_nv("content-length", length, (size_t)n_length, 0),
		STATIC_NV("allow", "POST"),
	};

	s->plain = true;
	if (!head && stream_queue_copy(s, body, n))
		session_fail(s->session, -ENOMEM);
	s->ended = true;
	submit(s, nv, http_status == 405 ? 4 : 3, !head);
}

void stream_cancel(struct stream *s)
{
	if (s->reset)
		return;
	stream_drop_output(s);
	s->ended = true;
	s->awaits_input = false;
	s->reset = true;
	session_check(s->session, nghttp2_submit_rst_stream(s->session->ng, NGHTTP2_FLAG_NONE,
					  s->id, NGHTTP2_CANCEL));
	session_mark_dirty(s->session);
}

/* Peers can make a server reset streams by frames that are slightly wrong, and so get work begun
 * without holding a stream (CVE-2025-8671). Our own resets are not counted. */
void session_count_reset(struct session *s, uint32_t code)
{
	uint64_t now_ns = s->transport->now_ns;

	if (code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL || code == NGHTTP2_REFUSED_STREAM)
		return;
	if (now_ns - s->resets_ns >= 60 * NS_PER_S) {
		s->resets_ns = now_ns;
		s->n_resets = 0;
	}
	if (++s->n_resets > RESETS_A_MINUTE)
		session_expel(s, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
}
