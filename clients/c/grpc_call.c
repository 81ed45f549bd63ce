/*
 * grpc_call.c: one call of a client: request out of the caller's memory, reply messages collected,
 * one status. A call leaves client.calls when its stream is closed or the connection is lost; from
 * then on it is `done` and touches the client no more.
 *
 * Client process, the caller's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "clients/c/grpc_client_private.h"
#include "proto/grpc_timeout.h"

/* --- The end of a call ----------------------------------------------------------------------- */

/* The first one counts. */
static void set_status(struct grpc_call *k, enum grpc_status status, const char *text)
{
	if (k->has_status)
		return;
	k->has_status = true;
	k->status = status;
	(void)snprintf(k->message, sizeof(k->message), "%s", text);
}

/* Done, and out of its client. */
static void end(struct grpc_call *k)
{
	list_remove(&k->node);
	k->done = true;
	k->client = NULL;
}

/* The server has not begun it. */
static void refuse(struct grpc_call *k)
{
	if (k->begun || k->aborted || k->refused)
		return;
	k->refused = true;
	if (k->on_refused)
		k->on_refused(k->data);
}

/* A request that waits for its turn has no stream yet. */
static bool was_sent(const struct grpc_client *c, const struct grpc_call *k)
{
	return nghttp2_session_get_stream_local_close(c->session, k->stream) >= 0;
}

int connection_lost(struct grpc_client *c, int error)
{
	enum grpc_status status = error == -ECANCELED ? GRPC_CANCELLED : GRPC_UNAVAILABLE;
	char text[128];

	c->lost = true;
	(void)snprintf(text, sizeof(text), "connection lost: %s",
		error == -EPIPE ? "closed by the server" : err_str(error));
	list_for_each (&c->calls, node) {
		struct grpc_call *k = list_entry(node, struct grpc_call, node);

		if (error != -ECANCELED && !was_sent(c, k))
			refuse(k);
		k->lost = !k->has_status;
		set_status(k, status, text);
		end(k);
	}
	return -EPIPE;
}

/* What RST_STREAM without a status means (PROTOCOL-HTTP2.md, "Errors"). */
static enum grpc_status status_of_reset(uint32_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	default:
		return GRPC_INTERNAL;
	}
}

static enum grpc_status status_of_http(const char *text, size_t n)
{
	static const struct {
		const char *http;
		enum grpc_status status;
	} map[] = {
		{"400", GRPC_INTERNAL},
		{"401", GRPC_UNAUTHENTICATED},
		{"403", GRPC_PERMISSION_DENIED},
		{"404", GRPC_UNIMPLEMENTED},
		{"429", GRPC_UNAVAILABLE},
		{"502", GRPC_UNAVAILABLE},
		{"503", GRPC_UNAVAILABLE},
		{"504", GRPC_UNAVAILABLE},
		{"431", GRPC_INTERNAL},
	};

	for (size_t i = 0; n == 3 && i < sizeof(map) / sizeof(map[0]); i++) {
		if (!memcmp(map[i].http, text, 3))
			return map[i].status;
	}
	return GRPC_UNKNOWN;
}

/* --- nghttp2's callbacks ---------------------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
	size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *data)
{
	struct grpc_call *k = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	enum grpc_status status;

	if (!k || k->aborted || n_value == 0)
		return 0;
	k->begun = true;
	if (n_name == 11 && !memcmp(name, "grpc-status", 11)) {
		if (grpc_status_parse((const char *)value, n_value, &status))
			status = GRPC_UNKNOWN;
		k->has_status = true;
		k->status = status;
	} else if (n_name == 12 && !memcmp(name, "grpc-message", 12)) {
		size_t n = n_value < GRPC_MESSAGE_MAX ? n_value : GRPC_MESSAGE_MAX;

		memcpy(k->message, value, n);
		k->message[grpc_message_decode(k->message, n)] = 0;
	} else if (n_name == 7 && !memcmp(name, ":status", 7) && value[0] != '1' &&
		   (n_value != 3 || memcmp(value, "200", 3) != 0)) {
		char text[64];

		(void)snprintf(text, sizeof(text), "HTTP status %.*s",
			n_value < 8 ? (int)n_value : 8, value);
		set_status(k, status_of_http((const char *)value, n_value), text);
	}
	return 0;
}

/* The call is over, on our initiative. */
static void call_abort(
	nghttp2_session *session, struct grpc_call *k, enum grpc_status status, const char *text)
{
	set_status(k, status, text);
	k->aborted = true;
	(void)nghttp2_submit_rst_stream(session, 0, k->stream, NGHTTP2_CANCEL);
}

static bool message_begins(nghttp2_session *session, struct grpc_call *k)
{
	char text[128];

	if (k->reader.compressed) {
		call_abort(session, k, GRPC_INTERNAL, "compressed message that nobody asked for");
		return false;
	}
	if (k->reader.length > k->max_message_bytes) {
		(void)snprintf(text, sizeof(text),
			"received message larger than max (%llu vs. %llu)",
			(unsigned long long)k->reader.length,
			(unsigned long long)k->max_message_bytes);
		call_abort(session, k, GRPC_RESOURCE_EXHAUSTED, text);
		return false;
	}
	buf_reset(&k->body);
	if (!buf_reserve(&k->body, k->reader.length))
		return true;
	call_abort(session, k, GRPC_RESOURCE_EXHAUSTED, "out of memory for the reply");
	return false;
}

/* False: the call is over. */
static bool call_event(nghttp2_session *session, struct grpc_call *k, enum grpc_frame_event event,
	const uint8_t *data, size_t n)
{
	if (event == GRPC_FRAME_BEGIN)
		return message_begins(session, k);
	if (event == GRPC_FRAME_PAYLOAD)
		return !buf_append(&k->body, data, n); /* room was made when it began */
	k->n_messages++;
	if (k->on_message)
		k->on_message(k->data, k->body.data, k->body.len);
	return true;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
	size_t n, void *user)
{
	struct grpc_call *k = nghttp2_session_get_stream_user_data(session, stream);
	enum grpc_frame_event event = GRPC_FRAME_MORE;

	while (k && !k->aborted) {
		const uint8_t *piece = NULL;
		size_t n_piece = 0;
		int r = grpc_frame_read(&k->reader, &data, &n, &event, &piece, &n_piece);

		if (r) {
			call_abort(
				session, k, GRPC_INTERNAL, "the server sent a malformed message");
			break;
		}
		if (event == GRPC_FRAME_MORE || !call_event(session, k, event, piece, n_piece))
			break;
	}
	return 0;
}

/* The answer is complete while our request is not: the rest of it is not wanted. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	int32_t stream = frame->hd.stream_id;

	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
		(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
		nghttp2_session_get_stream_local_close(session, stream) == 0)
		(void)nghttp2_submit_rst_stream(session, 0, stream, NGHTTP2_NO_ERROR);
	return 0;
}

/* A request that never went out: the server said GOAWAY before. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
	struct grpc_call *k;

	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	k = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!k)
		return 0;
	refuse(k);
	set_status(k, GRPC_UNAVAILABLE, "the server takes no more calls");
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
	struct grpc_call *k = nghttp2_session_get_stream_user_data(session, stream);
	char text[64];

	if (!k)
		return 0;
	if (code == NGHTTP2_REFUSED_STREAM)
		refuse(k);
	(void)snprintf(
		text, sizeof(text), "the server reset the call: %s", nghttp2_http2_strerror(code));
	set_status(k, status_of_reset(code),
		code == NGHTTP2_NO_ERROR ? "the server ended the call without a status" : text);
	if (k->status == GRPC_OK && !grpc_frame_reader_idle(&k->reader)) {
		k->has_status = false;
		set_status(k, GRPC_INTERNAL, "the server ended the call within a message");
	}
	end(k);
	return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *out, size_t cap,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct grpc_call *k = source->ptr;
	size_t taken = 0;

	while (taken < cap && k->piece < k->n_pieces) {
		const struct grpc_piece *p = &k->pieces[k->piece];
		size_t n = p->n - k->piece_at;

		if (n > cap - taken)
			n = cap - taken;
		if (n > 0)
			memcpy(out + taken, (const uint8_t *)p->data + k->piece_at, n);
		taken += n;
		k->piece_at += n;
		if (k->piece_at < p->n)
			break;
		k->piece++;
		k->piece_at = 0;
	}
	if (k->piece == k->n_pieces)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)taken;
}

void call_set_callbacks(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

/* --- Calls ------------------------------------------------------------------------------------- */

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

static int submit(struct grpc_client *c, struct grpc_call *k, const struct grpc_call_options *o)
{
	const nghttp2_data_provider body = {.source.ptr = k, .read_callback = read_request};
	char timeout[GRPC_TIMEOUT_TEXT_MAX];
	nghttp2_nv headers[10];
	size_t n = 0;
	int32_t stream;

	headers[n++] = header(":method", "POST");
	headers[n++] = header(":scheme", "http");
	headers[n++] = header(":path", o->path);
	headers[n++] = header(":authority", c->authority);
	headers[n++] = header("te", "trailers");
	headers[n++] = header("content-type", "application/grpc");
	headers[n++] = header("user-agent", "modeld-client-c/" MODELD_VERSION);
	if (o->timeout_ns != CLOCK_NO_DEADLINE) {
		grpc_timeout_format(o->timeout_ns, timeout);
		headers[n++] = header("grpc-timeout", timeout);
	}
	if (o->traceparent)
		headers[n++] = header("traceparent", o->traceparent);
	if (o->tracestate)
		headers[n++] = header("tracestate", o->tracestate);
	stream = nghttp2_submit_request(c->session, NULL, headers, n, &body, k);
	if (stream < 0)
		return stream == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE;
	k->stream = stream;
	return 0;
}

static int fill_pieces(struct grpc_call *k, const struct grpc_call_options *o)
{
	uint64_t length = 0;

	k->n_pieces = o->n_pieces + 1;
	k->pieces[0] = (struct grpc_piece){k->prefix, sizeof(k->prefix)};
	for (size_t i = 0; i < o->n_pieces; i++) {
		k->pieces[i + 1] = o->pieces[i];
		if (__builtin_add_overflow(length, o->pieces[i].n, &length) || length > UINT32_MAX)
			return -EMSGSIZE;
	}
	grpc_frame_prefix(k->prefix, false, (uint32_t)length);
	return 0;
}

int grpc_call_new(
	struct grpc_call **ret_call, struct grpc_client *c, const struct grpc_call_options *options)
{
	_cleanup_(freep) struct grpc_call *k = NULL;
	int r;

	if (c->lost || !nghttp2_session_check_request_allowed(c->session))
		return -EPIPE;
	k = calloc(1, sizeof(*k) + (options->n_pieces + 1) * sizeof(k->pieces[0]));
	if (!k)
		return -ENOMEM;
	r = fill_pieces(k, options);
	if (r)
		return r;
	k->max_message_bytes = options->max_message_bytes;
	k->on_message = options->on_message;
	k->on_refused = options->on_refused;
	k->data = options->data;
	grpc_frame_reader_init(&k->reader);
	buf_init(&k->body, UINT32_MAX);
	r = submit(c, k, options);
	if (r)
		return r;
	k->client = c;
	list_push_back(&c->calls, &k->node);
	*ret_call = steal_ptr(k);
	return 0;
}

/* RST_STREAM goes out before any more DATA, so the request, which goes with us, is not read again;
 * when the reset cannot be queued the connection has to go instead. */
static void call_cancel(struct grpc_call *k)
{
	struct grpc_client *c = k->client;

	(void)nghttp2_session_set_stream_user_data(c->session, k->stream, NULL);
	end(k);
	if (nghttp2_submit_rst_stream(c->session, 0, k->stream, NGHTTP2_CANCEL))
		(void)connection_lost(c, -ENOMEM);
}

struct grpc_call *grpc_call_free(struct grpc_call *k)
{
	if (!k)
		return NULL;
	if (!k->done)
		call_cancel(k);
	buf_deinit(&k->body);
	free(k);
	return NULL;
}

bool grpc_call_done(const struct grpc_call *k)
{
	return k->done;
}

bool grpc_call_is_lost(const struct grpc_call *k)
{
	return k->lost;
}

bool grpc_call_is_refused(const struct grpc_call *k)
{
	return k->refused;
}

size_t grpc_call_n_messages(const struct grpc_call *k)
{
	return k->n_messages;
}

enum grpc_status grpc_call_status(const struct grpc_call *k)
{
	return k->status;
}

const char *grpc_call_message(const struct grpc_call *k)
{
	return k->message;
}
