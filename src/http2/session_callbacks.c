/*
 * session_callbacks.c: what nghttp2 tells us, passed on to streams. Called from inside nghttp2, so
 * nothing here sends or receives: it submits at most. No callback returns CALLBACK_FAILURE: what
 * must end the connection is noted with session_fail().
 *
 * Invariant: a stream's user data is set from on_begin_headers until on_stream_close. Daemon
 * process, loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "http2/session_private.h"

#define HEADER_OVERHEAD	  32u /* of each, RFC 9113 6.5.2 */
#define HEADER_LISTS_READ 4u  /* of the largest size allowed */

static struct stream *stream_of(struct session *s, int32_t id)
{
	struct stream *stream = s->recent;

	if (!stream || stream->id != id)
		s->recent = stream = nghttp2_session_get_stream_user_data(s->ng, id);
	return stream;
}

static const struct stream_events *events_of(const struct session *s)
{
	return s->transport->events->streams;
}

static bool is_request(const nghttp2_frame *frame)
{
	return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

/* Elsewhere nghttp2 does, and is stricter about :authority. */
static bool judges_headers(const struct session *s)
{
	return s->endpoint->kind == ENDPOINT_UNIX;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *data)
{
	struct session *s = data;
	struct stream *stream;

	if (!is_request(frame))
		return 0;
	stream = stream_new(s, frame->hd.stream_id);
	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	s->recent = stream;
	session_due_by(s, clock_add(s->transport->now_ns, session_scan_ns(s)));
	session_check(s, nghttp2_session_set_stream_user_data(ng, stream->id, stream));
	return 0;
}

/* Trailers count too. A list that is far too long is not read to its end, as one that is only too
 * long is for the sake of a status: a byte of HPACK can stand for kilobytes, and nghttp2 looks at each
 * of them until the stream is given up. */
static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *data)
{
	struct session *s = data;
	struct stream *stream = stream_of(s, frame->hd.stream_id);

	if (!stream)
		return 0;
	stream->header_bytes += n_name + n_value + HEADER_OVERHEAD;
	if (stream->header_bytes / HEADER_LISTS_READ > s->transport->settings->max_header_bytes)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!is_request(frame))
		return 0;
	if (judges_headers(s))
		request_rules_take(
			&stream->rules, (const char *)name, n_name, (const char *)value, n_value);
	if (!stream->rules.broken)
		events_of(s)->on_header(
			stream, (const char *)name, n_name, (const char *)value, n_value);
	return 0;
}

/* No request: the floor above has heard of its headers alone. */
static void reject(struct session *s, struct stream *stream)
{
	stream->reset = stream->ended = stream->half_closed = true;
	session_check(s, nghttp2_submit_rst_stream(
				 s->ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_PROTOCOL_ERROR));
}

static void half_close(struct session *s, struct stream *stream)
{
	if (stream->half_closed)
		return;
	stream->half_closed = true;
	events_of(s)->on_half_close(stream);
}

static void on_headers_frame(struct session *s, const nghttp2_frame *frame)
{
	struct stream *stream = stream_of(s, frame->hd.stream_id);

	if (!stream)
		return;
	if (is_request(frame)) {
		if (judges_headers(s) && !request_rules_met(&stream->rules)) {
			reject(s, stream);
			return;
		}
		stream->requested = true;
		events_of(s)->on_request(stream);
	}
	/* Request trailers mean nothing in gRPC but the end. */
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		half_close(s, stream);
}

static void on_data_frame(struct session *s, const nghttp2_frame *frame)
{
	struct stream *stream = stream_of(s, frame->hd.stream_id);

	if (stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		half_close(s, stream);
}

static void on_ping_frame(struct session *s, const nghttp2_frame *frame)
{
	if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
		session_on_ping(s);
		return;
	}
	if (s->state == SESSION_NOTICED &&
		!memcmp(frame->ping.opaque_data, PING_GOODBYE, sizeof(frame->ping.opaque_data)))
		session_leave(s);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *data)
{
	struct session *s = data;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers_frame(s, frame);
		break;
	case NGHTTP2_DATA:
		on_data_frame(s, frame);
		break;
	case NGHTTP2_PING:
		on_ping_frame(s, frame);
		break;
	case NGHTTP2_SETTINGS:
		if (s->state == SESSION_HANDSHAKE && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
			session_set_state(s, SESSION_OPEN);
			if (s->goodbye)
				session_shutdown(s, s->goodbye);
		}
		break;
	default:
		break;
	}
	return 0;
}

static int on_data_chunk(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *data)
{
	struct session *s = data;
	struct stream *stream = stream_of(s, id);

	s->uncredited_bytes += n;
	if (stream) {
		stream->last_frame = flags & NGHTTP2_FLAG_END_STREAM;
		stream->received_ns = s->transport->now_ns;
		stream->measured_bytes += n;
		if (stream->ended)
			stream_discard(stream, n);
		else
			events_of(s)->on_data(stream, bytes, n);
	}
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *data)
{
	struct session *s = data;
	struct stream *stream = stream_of(s, id);

	if (!stream)
		return 0;
	/* From here on nothing may be submitted for it. */
	stream->reset = stream->half_closed = true;
	nghttp2_session_set_stream_user_data(ng, id, NULL);
	stream_close(stream);
	return 0;
}

static void on_reply_frame(struct session *s, const nghttp2_frame *frame)
{
	struct stream *stream;

	/* A client that gets data may ping as it likes: it measures bandwidth (gRPC A8). */
	s->ping_strikes = 0;
	s->ping_received_ns = 0;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return;
	stream = stream_of(s, frame->hd.stream_id);
	if (stream && !stream->half_closed && !stream->reset)
		stream_drain(stream);
}

/* The notice's PING is submitted only now: nghttp2 sends PINGs before what was submitted earlier, and
 * its answer must mean that the client has seen the notice. */
static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *data)
{
	struct session *s = data;

	if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)
		on_reply_frame(s, frame);
	else if (frame->hd.type == NGHTTP2_GOAWAY && s->state == SESSION_NOTICED)
		session_check(s,
			nghttp2_submit_ping(ng, NGHTTP2_FLAG_NONE, (const uint8_t *)PING_GOODBYE));
	else if (frame->hd.type == NGHTTP2_RST_STREAM)
		session_count_reset(
			s, stream_of(s, frame->hd.stream_id), frame->rst_stream.error_code);
	return 0;
}

/* A reply that cannot be sent would leave the client waiting for ever. */
static int on_frame_not_send(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *data)
{
	struct session *s = data;

	if (frame->hd.type == NGHTTP2_HEADERS && stream_of(s, frame->hd.stream_id))
		session_check(s, nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE,
					 frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR));
	return 0;
}

/* How long our DATA frames may be: nghttp2 keeps a buffer of that size even though bytes go by
 * reference, so what the peer allows is not always taken. */
static ssize_t on_read_length(nghttp2_session *ng, uint8_t frame_type, int32_t id,
	int32_t session_window, int32_t stream_window, uint32_t max_frame, void *data)
{
	return max_frame < GATHER_FRAME_MAX ? (ssize_t)max_frame : (ssize_t)GATHER_FRAME_MAX;
}

/* A gather that is not full has room for a frame, so one is always taken whole. */
static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t n,
	nghttp2_data_source *source, void *data)
{
	struct session *s = data;
	struct gather *b = s->transport->gather;
	static const uint8_t zeros[256];

	gather_copy(b, header, 9);
	if (frame->data.padlen > 0) {
		const uint8_t pad = (uint8_t)(frame->data.padlen - 1);

		gather_copy(b, &pad, 1);
	}
	stream_take_output(source->ptr, b, n);
	if (frame->data.padlen > 1)
		gather_copy(b, zeros, frame->data.padlen - 1);
	return gather_full(b) ? NGHTTP2_ERR_PAUSE : 0;
}

void session_set_callbacks(nghttp2_session_callbacks *c)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(c, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
	nghttp2_session_callbacks_set_data_source_read_length_callback(c, on_read_length);
}
