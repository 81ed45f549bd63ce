/*
 * peer_services.h: methods for tests of the transport. What happened is counted in one struct, reset
 * by each test.
 */
#ifndef TESTS_PEER_SERVICES_H
#define TESTS_PEER_SERVICES_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/peer.h"
#include "grpc/service.h"

struct fake_log {
	unsigned opened;
	unsigned closed;
	unsigned messages;
	unsigned half_closed;
	unsigned writable;
	unsigned released; /* lent parts given back */
	unsigned lent;	   /* lent */
	uint64_t length;   /* of the last message_begin */
	uint64_t deadline_ns;
	char traceparent[64];
	char tracestate[64];
	int64_t uid;   /* of the peer */
	size_t budget; /* Hold: bytes it takes before it waits */
	size_t taken;
	void (*on_take)(struct call *c); /* Hold: is given bytes; NULL: nobody watches */
	struct call *call;		 /* the one opened last, NULL after its close */
	size_t work;			 /* Chat and Collect: that a message takes, beside itself */
	uint32_t sum;			 /* of all bytes taken */
};

/*
 *   /t.T/Echo     unary: the message back
 *   /t.T/Collect  unary, collect_max 1000: the message back
 *   /t.T/Ask      unary: asks for a turn, then the message back
 *   /t.T/Chat     both stream: each message back; OK after half-close
 *   /t.T/Hold     client streams: takes `budget` bytes, then waits; OK with an empty message
 *   /t.T/Never    unary, never answers
 *   /t.T/Big      unary: as many zero bytes as the message says (decimal), lent
 *   /t.T/Flood    server streams: lent messages of 64 KiB while not blocked, for ever
 *   /t.T/Early    client streams: FAILED_PRECONDITION at once, with a text to encode
 *   /t.T/Late     both stream: one message, then INTERNAL
 */

#define ECHO_MAX  ((size_t)32 << 20)
#define BIG_MAX	  ((size_t)32 << 20)
#define FLOOD_BIT ((size_t)64 << 10)

static struct fake_log fake_log;

static uint8_t zeros[BIG_MAX];

struct state {
	struct buf message;
	bool opened;
};

static inline void service_open(struct call *c, void *state)
{
	struct state *s = state;

	cr_assert(!s->opened);
	s->opened = true;
	buf_init(&s->message, ECHO_MAX);
	fake_log.opened++;
	fake_log.call = c;
	fake_log.deadline_ns = call_deadline_ns(c);
	fake_log.uid = call_peer(c)->uid;
	snprintf(fake_log.traceparent, sizeof(fake_log.traceparent), "%s", call_traceparent(c));
	snprintf(fake_log.tracestate, sizeof(fake_log.tracestate), "%s", call_tracestate(c));
	cr_assert(call_connection(c));
}

static inline void service_close(struct call *c, void *state)
{
	struct state *s = state;

	cr_assert(s->opened);
	s->opened = false;
	buf_deinit(&s->message);
	fake_log.closed++;
	if (fake_log.call == c)
		fake_log.call = NULL;
}

static inline void service_begin(struct call *c, void *state, uint64_t length)
{
	struct state *s = state;

	fake_log.length = length;
	buf_reset(&s->message);
}

static inline void sum_up(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fake_log.sum = fake_log.sum * 31 + data[i];
	fake_log.taken += n;
}

static inline size_t service_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct state *s = state;

	if (buf_append(&s->message, data, n)) {
		call_finish(c, GRPC_RESOURCE_EXHAUSTED, "no memory for the message");
		return n;
	}
	sum_up(data, n);
	return n;
}

/* Returns false when the call is finished. */
static inline bool answer(struct call *c, const void *data, size_t n)
{
	const struct part part = {.data = data, .n = n, .bulk = true};

	if (!call_send(c, &part, 1))
		return true;
	call_finish(c, GRPC_INTERNAL, "out of memory");
	return false;
}

static inline void service_end(struct call *c, void *state)
{
	fake_log.messages++;
}

static inline void ignore_end(struct call *c, void *state)
{
}

static inline void echo_half_close(struct call *c, void *state)
{
	struct state *s = state;

	fake_log.half_closed++;
	if (answer(c, s->message.data, s->message.len))
		call_finish(c, GRPC_OK, NULL);
}

/* Asks for a turn first. */
static inline void ask_half_close(struct call *c, void *state)
{
	fake_log.half_closed++;
	call_await_turn(c);
}

static inline void ask_turn(struct call *c, void *state)
{
	struct state *s = state;

	fake_log.messages++;
	call_work(c, fake_log.work);
	if (answer(c, s->message.data, s->message.len))
		call_finish(c, GRPC_OK, NULL);
}

static inline void collect_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	fake_log.messages++;
	call_work(c, fake_log.work);
	if (answer(c, data, n))
		call_finish(c, GRPC_OK, NULL);
}

static inline void chat_end(struct call *c, void *state)
{
	struct state *s = state;

	fake_log.messages++;
	call_work(c, fake_log.work);
	(void)answer(c, s->message.data, s->message.len);
}

static inline void chat_half_close(struct call *c, void *state)
{
	fake_log.half_closed++;
	call_finish(c, GRPC_OK, NULL);
}

static inline size_t hold_data(struct call *c, void *state, const uint8_t *data, size_t n)
{
	size_t part = n < fake_log.budget ? n : fake_log.budget;

	if (fake_log.on_take)
		fake_log.on_take(c);
	fake_log.budget -= part;
	sum_up(data, part);
	return part;
}

static inline void hold_half_close(struct call *c, void *state)
{
	fake_log.half_closed++;
	if (answer(c, "", 0))
		call_finish(c, GRPC_OK, NULL);
}

static inline void give_back(void *owner)
{
	((struct fake_log *)owner)->released++;
}

static inline int lend(struct call *c, size_t n)
{
	const struct part parts[] = {
		{.data = "head", .n = 4},
		{.data = zeros, .n = n, .release = give_back, .owner = &fake_log, .bulk = true},
	};

	fake_log.lent++;
	return call_send(c, parts, 2);
}

static inline void big_half_close(struct call *c, void *state)
{
	struct state *s = state;
	char digits[16] = "";

	memcpy(digits, s->message.data, s->message.len);
	if (lend(c, strtoul(digits, NULL, 10)))
		call_finish(c, GRPC_INTERNAL, "out of memory");
	else
		call_finish(c, GRPC_OK, NULL);
}

static inline void flood(struct call *c, void *state)
{
	while (!call_blocked(c)) {
		if (lend(c, FLOOD_BIT)) {
			call_finish(c, GRPC_INTERNAL, "out of memory");
			return;
		}
	}
}

static inline void flood_writable(struct call *c, void *state)
{
	fake_log.writable++;
	flood(c, state);
}

static inline void early_open(struct call *c, void *state)
{
	service_open(c, state);
	call_finish(c, GRPC_FAILED_PRECONDITION, "100% too early\n\xc3\xa4");
}

static inline void late_open(struct call *c, void *state)
{
	service_open(c, state);
	if (answer(c, "one", 3))
		call_finishf(c, GRPC_INTERNAL, "after %d", 1);
}

/* What all but one are made of. */
#define METHOD(opened, data, end)                                                                  \
	.state_bytes = sizeof(struct state), .open = (opened), .close = service_close,             \
	.message_begin = service_begin, .message_data = (data), .message_end = (end)
#define COMMON METHOD(service_open, service_data, service_end)

static const struct method methods[] = {
	{.path = "/t.T/Echo", COMMON, .half_close = echo_half_close},
	{.path = "/t.T/Collect",
		.state_bytes = sizeof(struct state),
		.collect_max = 1000,
		.open = service_open,
		.close = service_close,
		.message = collect_message},
	{.path = "/t.T/Ask",
		METHOD(service_open, service_data, ignore_end),
		.half_close = ask_half_close,
		.turn = ask_turn},
	{.path = "/t.T/Chat",
		METHOD(service_open, service_data, chat_end),
		.client_streaming = true,
		.server_streaming = true,
		.half_close = chat_half_close},
	{.path = "/t.T/Hold",
		METHOD(service_open, hold_data, service_end),
		.client_streaming = true,
		.half_close = hold_half_close},
	{.path = "/t.T/Never", COMMON},
	{.path = "/t.T/Big", COMMON, .half_close = big_half_close},
	{.path = "/t.T/Flood",
		METHOD(service_open, service_data, flood),
		.server_streaming = true,
		.writable = flood_writable},
	{.path = "/t.T/Early",
		METHOD(early_open, service_data, service_end),
		.client_streaming = true},
	{.path = "/t.T/Late",
		METHOD(late_open, service_data, service_end),
		.client_streaming = true,
		.server_streaming = true},
	{0},
};

static const struct service fake_service = {.name = "t.T", .methods = methods};
static const struct service *const fake_services[] = {&fake_service, NULL};

#endif
