/*
 * call.c: one RPC: between the stream that carries it and the service that answers it.
 *
 *   HEADERS -headers good-> OPEN -call_finish | deadline | stream gone-> ENDED
 *      +------rejected-------------------------------------------------------^
 *
 * This file has what services ask of a call, and its end; call_events.c hears of its stream.
 *
 * Invariants: the service's open and close come in pairs, exactly once each; exactly one status (or
 * a reset) leaves for each call; nothing of the service is touched after its close. Daemon process,
 * loop thread.
 */
#include "grpc/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "grpc/call_private.h"

void *call_context(const struct call *c)
{
	return call_calls(c)->data;
}

void *call_connection(const struct call *c)
{
	return *session_kept(c->stream.session);
}

const struct peer *call_peer(const struct call *c)
{
	return session_peer(c->stream.session);
}

const char *call_traceparent(const struct call *c)
{
	return c->headers.traceparent;
}

const char *call_tracestate(const struct call *c)
{
	const struct call_headers *h = &c->headers;

	return h->tracestate && h->traceparent[0] ? h->tracestate->text : "";
}

bool call_draining(const struct call *c)
{
	return call_calls(c)->draining;
}

uint64_t call_deadline_ns(const struct call *c)
{
	return c->deadline_ns;
}

uint64_t call_received_ns(const struct call *c)
{
	return c->message_ns;
}

/* --- end -------------------------------------------------------------------------------------- */

void call_release_input(struct call *c)
{
	struct calls *shared = call_calls(c);

	/* The service may be reading what it was lent: consume() comes back to this. */
	if (c->in_receive)
		return;
	stream_unhold(&c->stream, c->stream.held_bytes);
	stream_keep(&c->stream, 0);
	buf_deinit(&c->collected);
	buf_deinit(&c->held);
	buf_deinit(&c->inflated);
	if (!c->inflater)
		return;
	if (!shared->spare_inflater)
		shared->spare_inflater = steal_ptr(c->inflater);
	c->inflater = inflater_free(c->inflater);
}

void call_close(struct call *c)
{
	c->phase = CALL_ENDED;
	call_calls(c)->counters.open--;
	deadline_clear(&call_transport(c)->deadlines, &c->stream.timer);
	list_remove(&c->turn_node);
	if (c->method->close)
		c->method->close(c, c->state);
	call_release_input(c);
}

static void finish(struct call *c, enum grpc_status status, const char *text, size_t n)
{
	assert(c->phase == CALL_OPEN);
	/* First: text may lie in memory that close frees. */
	if (c->broken)
		stream_cancel(&c->stream);
	else
		call_send_status(c, 200, status, text, n);
	call_close(c);
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
	call_send_status(c, http_status, status, text, strlen(text));
}

bool call_blocked(const struct call *c)
{
	struct stream *s = (struct stream *)&c->stream;

	if (!stream_full(s))
		return false;
	s->blocked = true;
	stream_wait(s);
	return true;
}
