/*
 * call_receive.c: request messages: DATA bytes are cut into messages, inflated where compressed, and
 * given to the service or collected for it. What the service does not take is held, raw as it came,
 * and with it everything behind it; the stream's window bounds that.
 *
 * Bytes flow: call_receive -> consume (framing) -> payload (inflating) -> deliver (service).
 *
 * Invariants: while anything is held, new bytes go behind it; payload_left is not 0 only right after
 * a stall, and counts the first of the bytes still to come. Every function stops as soon as the call
 * has ended, which any call into the service may do. Daemon process, loop thread.
 */
#include <assert.h>
#include <string.h>

#include "grpc/call_private.h"

/* As many messages take as long as to look who holds most. */
#define GET_ROOM_WORK 8u

static bool going(const struct call *c)
{
	return c->phase == CALL_OPEN && !c->stalled && !c->awaits_room && !c->awaits_turn;
}

static uint64_t max_message(const struct call *c)
{
	return call_calls(c)->settings->max_receive_message_bytes;
}

static void out_of_memory(struct call *c)
{
	call_finish(c, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- room for what is held and kept ---------------------------------------------------------- */

void call_give_way(struct call *c, const char *why)
{
	call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
		"requests that are incomplete, or wait here for their turn or for room, have twice "
		"[limits] "
		"max_held_bytes (%llu)%s",
		(unsigned long long)call_transport(c)->settings->max_held_bytes, why);
}

/* To see who gives way takes as long as some messages. */
static bool get_room(struct call *c, size_t n)
{
	if (stream_may_hold(&c->stream, n))
		return true;
	call_work(c, GET_ROOM_WORK);
	if (stream_get_room(&c->stream, n))
		return true;
	call_give_way(c, "");
	return false;
}

void call_keep(struct call *c, size_t n)
{
	size_t before = c->stream.kept_bytes;

	if (n != before && c->phase == CALL_OPEN && (n < before || get_room(c, n - before)))
		stream_keep(&c->stream, n);
}

/* --- to the service --------------------------------------------------------------------------- */

/* As gRPC's own servers say it, and whose limit it is. */
static void too_large(struct call *c, uint64_t n)
{
	size_t taken = c->method->collect_max;

	if (taken && n > taken)
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
			"Received message larger than max (%llu vs. %zu): %s takes no more",
			(unsigned long long)n, taken, c->method->path);
	else
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
			"Received message larger than max (%llu vs. %llu): [limits] "
			"max_receive_message_bytes",
			(unsigned long long)n, (unsigned long long)max_message(c));
}

static bool fits(const struct call *c, uint64_t n)
{
	return n <= max_message(c) && (!c->method->collect_max || n <= c->method->collect_max);
}

/* Returns how many were taken. */
static size_t deliver(struct call *c, const uint8_t *data, size_t n)
{
	size_t taken;

	if (c->method->collect_max) {
		if (buf_append(&c->collected, data, n))
			out_of_memory(c);
		else
			call_keep(c, c->collected.cap);
		return n;
	}
	taken = c->method->message_data(c, c->state, data, n);
	assert(taken <= n);
	if (taken < n && c->phase == CALL_OPEN)
		c->stalled = true;
	return taken;
}

/* --- inflating -------------------------------------------------------------------------------- */

static bool take_inflater(struct call *c)
{
	struct calls *shared = call_calls(c);

	if (!c->inflater)
		c->inflater = steal_ptr(shared->spare_inflater);
	if (c->inflater) {
		inflater_reset(c->inflater, c->request_codec);
		return true;
	}
	if (!inflater_new(&c->inflater, c->request_codec))
		return true;
	out_of_memory(c);
	return false;
}

static void hold_inflated(struct call *c, const uint8_t *data, size_t n)
{
	if (buf_append(&c->inflated, data, n))
		out_of_memory(c);
}

/* What was inflated before the stall. */
static void deliver_inflated(struct call *c)
{
	size_t n = c->inflated.len - c->inflated_done;

	if (!n)
		return;
	c->inflated_done += deliver(c, c->inflated.data + c->inflated_done, n);
	if (c->inflated_done < c->inflated.len) {
		c->inflate_waits = true;
		return;
	}
	buf_reset(&c->inflated);
	c->inflated_done = 0;
}

/* Enough for this turn of the loop: others have theirs. */
static void yield(struct call *c)
{
	struct calls *shared = call_calls(c);

	if (calls_want_turn(shared)) {
		out_of_memory(c);
		return;
	}
	c->awaits_turn = true;
	c->inflate_waits = true;
	list_push_back(&shared->inflating, &c->turn_node);
}

static void yield_when_long(struct call *c)
{
	if (going(c) && call_calls(c)->inflated_turn >= INFLATE_A_TURN)
		yield(c);
}

void call_receive_next_turn(struct calls *shared)
{
	struct list *node;

	shared->inflated_turn = 0;
	while (shared->inflated_turn < INFLATE_A_TURN && (node = list_first(&shared->inflating))) {
		struct call *c = list_entry(node, struct call, turn_node);

		list_remove(node);
		c->awaits_turn = false;
		call_receive_held(c);
	}
}

/* One buffer full. Returns whether there may be more. */
static bool inflate_some(struct call *c, const uint8_t **data, size_t *n)
{
	uint8_t *out = call_calls(c)->inflate_buffer;
	size_t n_out;
	size_t taken;
	int r = inflater_read(c->inflater, data, n, out, CALL_INFLATE_BYTES, &n_out);

	if (r) {
		call_finishf(c, GRPC_INTERNAL, "message is not valid %s data",
			codec_name(c->request_codec));
		return false;
	}
	if (n_out == 0)
		return *n > 0;
	c->inflated_bytes += n_out;
	if (!fits(c, c->inflated_bytes)) {
		too_large(c, c->inflated_bytes);
		return false;
	}
	taken = deliver(c, out, n_out);
	if (c->stalled)
		hold_inflated(c, out + taken, n_out - taken);
	call_calls(c)->inflated_turn += n_out;
	yield_when_long(c);
	c->inflate_waits = !going(c);
	return true;
}

static size_t inflate(struct call *c, const uint8_t *data, size_t n)
{
	const uint8_t *at = data;
	size_t left = n;

	deliver_inflated(c);
	yield_when_long(c);
	while (going(c) && inflate_some(c, &at, &left))
		;
	return n - left;
}

/* --- framing ---------------------------------------------------------------------------------- */

static bool begin_compressed(struct call *c)
{
	if (c->request_codec == CODEC_IDENTITY) {
		call_finish(
			c, GRPC_INTERNAL, "compressed flag set with identity or empty encoding");
		return false;
	}
	if (c->request_codec == CODEC_UNKNOWN) {
		call_finish(c, GRPC_UNIMPLEMENTED,
			"grpc-encoding is not supported; supported are " CODEC_ACCEPTED);
		return false;
	}
	c->inflated_bytes = 0;
	return take_inflater(c);
}

static void begin(struct call *c)
{
	uint32_t length = c->reader.length;

	if (c->n_messages && !c->method->client_streaming) {
		call_finishf(c, GRPC_UNIMPLEMENTED,
			"request cardinality violation: %s takes one message, got more",
			c->method->path);
		return;
	}
	c->n_messages++;
	c->message_ns = c->stream.received_ns;
	stream_measure(&c->stream);
	if (!fits(c, length)) {
		too_large(c, length);
		return;
	}
	if (c->reader.compressed && !begin_compressed(c))
		return;
	buf_reset(&c->collected);
	if (!c->method->collect_max)
		c->method->message_begin(c, c->state, c->reader.compressed ? UINT64_MAX : length);
}

static void end(struct call *c)
{
	if (c->reader.compressed && !inflater_complete(c->inflater)) {
		call_finishf(c, GRPC_INTERNAL, "message is not valid %s data: it ends early",
			codec_name(c->request_codec));
		return;
	}
	if (!c->method->collect_max)
		c->method->message_end(c, c->state);
	else if (c->method->client_streaming)
		c->method->message(c, c->state, c->collected.data, c->collected.len);
}

static size_t payload(struct call *c, const uint8_t *data, size_t n)
{
	return c->reader.compressed ? inflate(c, data, n) : deliver(c, data, n);
}

/* Go on inside of a payload where a stall left it. Returns how many bytes that were. */
static size_t resume_payload(struct call *c, const uint8_t *data, size_t n)
{
	size_t part = c->payload_left < n ? c->payload_left : n;
	size_t used;

	/* The inflater may have more to give even when all its input is in. */
	if (!part && !c->inflate_waits)
		return 0;
	c->inflate_waits = false;
	used = payload(c, data, part);
	c->payload_left -= used;
	return used;
}

/* One event. Returns false when the input is used up. */
static bool step(struct call *c, const uint8_t **data, size_t *n)
{
	enum grpc_frame_event event;
	const uint8_t *part;
	size_t n_part;
	size_t used;

	if (grpc_frame_read(&c->reader, data, n, &event, &part, &n_part)) {
		call_finish(c, GRPC_INTERNAL, "unexpected payload format: flag byte is not 0 or 1");
		return false;
	}
	switch (event) {
	case GRPC_FRAME_MORE:
		return false;
	case GRPC_FRAME_BEGIN:
		begin(c);
		return true;
	case GRPC_FRAME_PAYLOAD:
		used = payload(c, part, n_part);
		/* The reader is past it; we are not. */
		c->payload_left = n_part - used;
		*data -= c->payload_left;
		*n += c->payload_left;
		return true;
	case GRPC_FRAME_END:
		end(c);
		return true;
	}
	return false;
}

/* Is a message handed over as soon as it is whole? One that must be the only one is when it is known to be. */
static bool hands_over(const struct call *c)
{
	return !c->method->collect_max || c->method->client_streaming;
}

/* What comes next may be more than there is room for in this turn of the loop. */
static bool has_its_turn(struct call *c)
{
	return !grpc_frame_reader_ends(&c->reader) || !hands_over(c) || call_turn_take(c);
}

/* Returns how many bytes are done with. */
static size_t consume(struct call *c, const uint8_t *data, size_t n)
{
	const uint8_t *at = data;
	size_t left = n;
	size_t used;

	c->in_receive = true;
	used = resume_payload(c, at, left);
	at += used;
	left -= used;
	while (going(c) && has_its_turn(c) && step(c, &at, &left))
		;
	c->in_receive = false;
	if (c->phase == CALL_ENDED)
		call_release_input(c);
	return n - left;
}

/* --- holding ---------------------------------------------------------------------------------- */

static void hold(struct call *c, const uint8_t *data, size_t n)
{
	if (!get_room(c, n))
		return;
	/* Each byte is moved once at most, and at most half of the buffer is waste. */
	if (c->held_done > c->held.len / 2) {
		buf_consume(&c->held, c->held_done);
		c->held_done = 0;
	}
	if (buf_append(&c->held, data, n)) {
		out_of_memory(c);
		return;
	}
	stream_hold(&c->stream, n);
}

static void set_awaits_input(struct call *c)
{
	c->stream.awaits_input =
		c->phase == CALL_OPEN && !c->stream.half_closed && !c->awaits_turn &&
		!c->awaits_room &&
		(!c->method->client_streaming || !grpc_frame_reader_idle(&c->reader));
}

void call_receive(struct call *c, const uint8_t *data, size_t n)
{
	size_t used;

	/* Its end waits for replies that are not compressed yet: nobody would let go of what is held. The stream's window stays closed. */
	if (c->phase != CALL_OPEN)
		return;
	if (going(c) && stream_connection_full(&c->stream)) {
		c->awaits_room = true;
		stream_wait(&c->stream);
	}
	if (!going(c)) {
		hold(c, data, n);
		return;
	}
	used = consume(c, data, n);
	stream_taken(&c->stream, used);
	if (used < n && c->phase == CALL_OPEN)
		hold(c, data + used, n - used);
	set_awaits_input(c);
}

/* A collected message that must be the only one is given when it is known to be. */
static void deliver_collected(struct call *c)
{
	c->in_receive = true;
	c->method->message(c, c->state, c->collected.data, c->collected.len);
	c->in_receive = false;
	if (c->phase == CALL_ENDED)
		call_release_input(c);
}

static void half_close(struct call *c)
{
	c->half_close_waits = false;
	if (!grpc_frame_reader_idle(&c->reader)) {
		call_finish(c, GRPC_INTERNAL, "the request ended inside a message");
		return;
	}
	if (!c->method->client_streaming && c->n_messages == 0) {
		call_finishf(c, GRPC_UNIMPLEMENTED,
			"request cardinality violation: %s takes one message, got none",
			c->method->path);
		return;
	}
	if (c->method->collect_max && !c->method->client_streaming)
		deliver_collected(c);
	if (c->phase == CALL_OPEN && c->method->half_close)
		c->method->half_close(c, c->state);
}

/* Now, or when its turn has come. */
static void end_input(struct call *c)
{
	c->half_close_waits = true;
	if (going(c) && (hands_over(c) || call_turn_take(c)))
		half_close(c);
}

void call_receive_end(struct call *c)
{
	c->stream.awaits_input = false;
	end_input(c);
}

void call_receive_held(struct call *c)
{
	static const uint8_t nothing[1];
	size_t n = c->held.len - c->held_done;
	size_t used;

	if (c->in_receive || !going(c))
		return;
	used = consume(c, n ? c->held.data + c->held_done : nothing, n);
	if (c->phase != CALL_OPEN)
		return;
	c->held_done += used;
	stream_unhold(&c->stream, used);
	stream_taken(&c->stream, used);
	if (c->held_done == c->held.len) {
		buf_deinit(&c->held);
		c->held_done = 0;
	}
	/* What it waits for now starts anew. */
	c->stream.received_ns = call_transport(c)->now_ns;
	stream_measure(&c->stream);
	set_awaits_input(c);
	if (c->half_close_waits)
		end_input(c);
}

void call_receive_init(struct call *c)
{
	const struct http2_settings *s = call_transport(c)->settings;

	list_init(&c->turn_node);
	grpc_frame_reader_init(&c->reader);
	buf_init(&c->collected, c->method->collect_max);
	/* A window of bytes, as much again that is done with, and a frame. */
	buf_init(&c->held, 2 * (size_t)s->stream_window_bytes + s->max_frame_bytes);
	buf_init(&c->inflated, CALL_INFLATE_BYTES);
}

void call_resume(struct call *c)
{
	if (c->phase != CALL_OPEN || !c->stalled)
		return;
	c->stalled = false;
	call_receive_held(c);
}
