/*
 * call.c: one RPC: between the stream that carries it and the service that answers it.
 *
 *   HEADERS -headers good-> OPEN -call_finish | deadline | stream gone-> ENDED
 *      +------rejected-------------------------------------------------------^
 *
 * Invariants: the service's open and close come in pairs, exactly once each; exactly one status (or
 * a reset) leaves for each call; nothing of the service is touched after its close. Daemon process,
 * loop thread.
 */
#include "grpc/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "grpc/call_private.h"
#include "http2/session.h"
#include "http2/transport.h"

static struct transport *transport_of(const struct call *c)
{
	return session_transport(c->stream.session);
}

struct calls *call_calls(const struct call *c)
{
	return transport_of(c)->calls;
}

struct service_context *call_context(const struct call *c)
{
	return call_calls(c)->context;
}

struct client *call_client(const struct call *c)
{
	return session_client(c->stream.session);
}

uint64_t call_deadline_ns(const struct call *c)
{
	return c->deadline_ns;
}

uint64_t call_received_ns(const struct call *c)
{
	return c->message_ns;
}

int64_t call_peer_uid(const struct call *c)
{
	return session_peer_uid(c->stream.session);
}

bool call_peer_loopback(const struct call *c)
{
	return session_peer_loopback(c->stream.session);
}

/* --- end -------------------------------------------------------------------------------------- */

/* The service is told; its memory lives as long as the stream, it may still be in one of its
 * functions. */
static void close_call(struct call *c)
{
	struct transport *t = transport_of(c);

	c->phase = CALL_ENDED;
	t->counters.calls--;
	deadline_clear(&t->deadlines, &c->stream.timer);
	if (c->method->close)
		c->method->close(c, c->state);
	call_receive_release(c);
}

static void finish(struct call *c, enum grpc_status status, const char *text, size_t n)
{
	assert(c->phase == CALL_OPEN);
	/* First: text may lie in memory that close frees. */
	if (c->broken)
		stream_cancel(&c->stream);
	else
		stream_end(&c->stream, 200, status, text, n);
	close_call(c);
}

void call_finish(struct call *c, enum grpc_status status, const char *text)
{
	finish(c, status, text, text ? strlen(text) : 0);
}

void call_finishf(struct call *c, enum grpc_status status, const char *format, ...)
{
	char text[GRPC_MESSAGE_MAX + 1];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	call_finish(c, status, text);
}

void call_reject(struct call *c, unsigned http_status, enum grpc_status status, const char *text)
{
	assert(c->phase == CALL_HEADERS);
	c->phase = CALL_ENDED;
	stream_end(&c->stream, http_status, status, text, strlen(text));
}

/* Replies that could not leave until now are worthless: the client has given up. */
static void on_deadline(struct deadline *d)
{
	struct call *c = call_of((struct stream *)((char *)d - offsetof(struct stream, timer)));

	transport_of(c)->now_ns = clock_ns();
	if (c->stream.queued_bytes) {
		stream_cancel(&c->stream);
		close_call(c);
		return;
	}
	call_finish(c, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
}

/* --- begin ------------------------------------------------------------------------------------ */

static void on_begin(struct stream *s)
{
	struct call *c = call_of(s);

	c->request_codec = CODEC_IDENTITY;
	c->reply_codec = CODEC_IDENTITY;
	c->deadline_ns = CLOCK_NO_DEADLINE;
}

static void on_header(
	struct stream *s, const char *name, size_t n_name, const char *value, size_t n_value)
{
	call_take_header(call_of(s), name, n_name, value, n_value);
}

static bool make_state(struct call *c)
{
	struct transport *t = transport_of(c);

	if (!session_client(c->stream.session))
		return false;
	if (!c->method->state_bytes)
		return true;
	c->state = blocks_take(&t->blocks, c->method->state_bytes);
	if (c->state)
		memset(c->state, 0, c->method->state_bytes);
	return c->state != NULL;
}

static bool set_deadline(struct call *c)
{
	struct transport *t = transport_of(c);

	c->stream.timer.on_due = on_deadline;
	if (!c->headers.has_timeout)
		return true;
	c->deadline_ns = clock_add(t->now_ns, c->headers.timeout_ns);
	return c->deadline_ns == CLOCK_NO_DEADLINE ||
	       !deadline_set(&t->deadlines, &c->stream.timer, c->deadline_ns);
}

/* A connection may end for its age: only a server that drains cuts calls that go on for ever. */
static void on_shutdown(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN && c->method->drain && call_context(c)->draining)
		c->method->drain(c, c->state);
}

static void on_request(struct stream *s)
{
	struct call *c = call_of(s);
	struct transport *t = transport_of(c);

	c->message_ns = t->now_ns;
	if (!call_accept_headers(c))
		return;
	if (!make_state(c) || !set_deadline(c)) {
		call_reject(c, 200, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	c->phase = CALL_OPEN;
	t->counters.calls++;
	t->counters.calls_total++;
	s->awaits_input = !c->method->client_streaming;
	call_receive_init(c);
	if (c->method->open)
		c->method->open(c, c->state);
	on_shutdown(s);
}

/* --- in between ------------------------------------------------------------------------------- */

static void on_data(struct stream *s, const uint8_t *data, size_t n)
{
	call_receive(call_of(s), data, n);
}

static void on_half_close(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN)
		call_receive_end(c);
}

static void on_room(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN && s->blocked) {
		s->blocked = false;
		if (c->method->writable)
			c->method->writable(c, c->state);
	}
	if (c->phase == CALL_OPEN && c->awaits_room) {
		c->awaits_room = false;
		call_receive_held(c);
	}
}

static void on_silent(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN)
		call_finishf(c, GRPC_DEADLINE_EXCEEDED,
			"the request is incomplete and nothing came for receive_timeout_ms (%llu)",
			(unsigned long long)transport_of(c)->settings->receive_timeout_ms);
}

static void on_close(struct stream *s)
{
	struct call *c = call_of(s);
	struct transport *t = transport_of(c);

	if (c->phase == CALL_OPEN)
		close_call(c);
	blocks_give(&t->blocks, c->headers.unknown_path, c->headers.n_unknown_path);
	if (c->state)
		blocks_give(&t->blocks, c->state, c->method->state_bytes);
}

/* Closed now: the reset has yet to leave, and what the service sent until then would be lost. */
static void on_stuck(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN)
		close_call(c);
}

const struct stream_events call_events = {
	.stream_bytes = sizeof(struct call),
	.on_begin = on_begin,
	.on_header = on_header,
	.on_request = on_request,
	.on_data = on_data,
	.on_half_close = on_half_close,
	.on_room = on_room,
	.on_silent = on_silent,
	.on_stuck = on_stuck,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
};

bool call_blocked(const struct call *c)
{
	struct stream *s = (struct stream *)&c->stream;

	if (!stream_full(s))
		return false;
	s->blocked = true;
	stream_wait(s);
	return true;
}

void call_resume(struct call *c)
{
	if (c->phase != CALL_OPEN || !c->stalled)
		return;
	c->stalled = false;
	call_receive_held(c);
}
