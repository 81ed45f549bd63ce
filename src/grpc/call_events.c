/*
 * call_events.c: what a stream tells its call: it begins, headers and data come, output drains, time
 * is over, it is gone. Daemon process, loop thread.
 */
#include <string.h>

#include "base/clock.h"
#include "grpc/call_private.h"

/* Replies that could not leave until now are worthless: the client has given up. */
static void on_deadline(struct deadline *d)
{
	struct call *c = call_of((struct stream *)((char *)d - offsetof(struct stream, timer)));

	call_transport(c)->now_ns = clock_ns();
	if (c->stream.queued_bytes || c->stream.owed_bytes) {
		call_drop_replies(c);
		stream_cancel(&c->stream);
		call_close(c);
		return;
	}
	call_finish(c, GRPC_DEADLINE_EXCEEDED, "Deadline Exceeded");
}

/* --- begin ------------------------------------------------------------------------------------ */

static void on_begin(struct stream *s)
{
	struct call *c = call_of(s);

	c->request_codec = CODEC_IDENTITY;
	c->reply_codec = CODEC_IDENTITY;
	c->deadline_ns = CLOCK_NO_DEADLINE;
	list_init(&c->replies);
	list_init(&c->compress_node);
}

static void on_header(
	struct stream *s, const char *name, size_t n_name, const char *value, size_t n_value)
{
	call_take_header(call_of(s), name, n_name, value, n_value);
}

/* The first call of a connection asks the services what they keep with it. */
static bool keep_connection(struct call *c)
{
	struct calls *shared = call_calls(c);
	void **kept = session_kept(c->stream.session);

	return *kept || !shared->events->on_connection(shared->data, kept);
}

static bool make_state(struct call *c)
{
	struct transport *t = call_transport(c);

	if (!keep_connection(c))
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
	struct transport *t = call_transport(c);

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

	if (c->phase == CALL_OPEN && c->method->drain && call_draining(c))
		c->method->drain(c, c->state);
}

static void on_request(struct stream *s)
{
	struct call *c = call_of(s);
	struct transport *t = call_transport(c);

	c->message_ns = t->now_ns;
	if (!call_accept_headers(c))
		return;
	if (!make_state(c) || !set_deadline(c)) {
		call_reject(c, 200, GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	c->phase = CALL_OPEN;
	call_calls(c)->counters.open++;
	call_calls(c)->counters.total++;
	s->awaits_input = !c->method->client_streaming;
	stream_measure(s);
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
		if (c->turn_asked)
			call_await_turn(c);
		else
			call_receive_held(c);
	}
}

static void on_silent(struct stream *s)
{
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN)
		call_finishf(c, GRPC_DEADLINE_EXCEEDED,
			"the request is incomplete and nothing came for receive_timeout_ms (%llu)",
			(unsigned long long)call_transport(c)->settings->receive_timeout_ms);
}

static void on_slow(struct stream *s)
{
	const struct http2_settings *f = call_transport(call_of(s))->settings;
	struct call *c = call_of(s);

	if (c->phase == CALL_OPEN)
		call_finishf(c, GRPC_DEADLINE_EXCEEDED,
			"the request is incomplete after receive_timeout_ms (%llu) and comes "
			"slower than "
			"min_receive_rate (%llu bytes a second)",
			(unsigned long long)f->receive_timeout_ms,
			(unsigned long long)f->min_receive_rate);
}

static void on_hoarding(struct stream *s)
{
	struct call *c = call_of(s);

	/* One that is just reading is not ended behind its back. */
	if (c->phase == CALL_OPEN && !c->in_receive)
		call_give_way(c, ", and of all connections this one has most");
}

static void on_close(struct stream *s)
{
	struct call *c = call_of(s);
	struct transport *t = call_transport(c);

	if (c->phase == CALL_OPEN)
		call_close(c);
	call_drop_replies(c);
	blocks_give(&t->blocks, c->text, c->n_text);
	blocks_give(&t->blocks, c->headers.unknown_path, c->headers.n_unknown_path);
	blocks_give(&t->blocks, c->headers.tracestate, sizeof(*c->headers.tracestate));
	if (c->state)
		blocks_give(&t->blocks, c->state, c->method->state_bytes);
}

/* Closed now: the end has yet to leave, and what the service sent until then would be lost. A page has no
 * trailers to say why. */
static void on_stuck(struct stream *s)
{
	struct call *c = call_of(s);
	bool has_status = (c->phase == CALL_OPEN || s->trailers || c->end_waits) && !c->broken;

	if (c->phase == CALL_OPEN)
		call_close(c);
	if (has_status)
		call_send_unread(c);
	else {
		call_drop_replies(c);
		stream_cancel(s);
	}
}

static size_t on_trailers(struct stream *s, struct header *ret_trailers)
{
	return call_trailers(call_of(s), ret_trailers);
}

const struct stream_events call_events = {
	.stream_bytes = sizeof(struct call),
	.on_begin = on_begin,
	.on_header = on_header,
	.on_request = on_request,
	.on_data = on_data,
	.on_half_close = on_half_close,
	.on_trailers = on_trailers,
	.on_room = on_room,
	.on_silent = on_silent,
	.on_slow = on_slow,
	.on_stuck = on_stuck,
	.on_hoarding = on_hoarding,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
};
