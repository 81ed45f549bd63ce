/*
 * call_double.h: a transport of our own behind call.h, to test services without sockets: it hands
 * messages over in chunks, keeps what a service does not take, and gathers what it sends. A call's
 * state is freed the moment it is closed, so that a sanitizer sees whoever touches it after.
 * Included by one .c of a test program; its symbols stand in for call.c's.
 */
#ifndef TESTS_UNIT_SERVICES_CALL_DOUBLE_H
#define TESTS_UNIT_SERVICES_CALL_DOUBLE_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/peer.h"
#include "grpc/call.h"
#include "grpc/calls.h"
#include "grpc/service.h"

#define CALL_SENT_MAX 256

/* Memory that does not fail (tests/support/failalloc.h): a transport's own trouble is not ours. */
void *__real_malloc(size_t n);

struct call {
	void *context;
	void *connection;
	struct peer peer;
	const char *traceparent;
	const char *tracestate;
	bool draining;
	uint64_t deadline_ns;
	uint64_t received_ns;
	const struct method *method;
	void *state;	    /* own */
	size_t chunk;	    /* bytes handed over at once; 0: all */
	uint64_t announced; /* length given to message_begin; 0: the true one */

	/* Messages that came, one behind the other, and what is not taken of them. */
	const uint8_t *rest;
	size_t n_rest;
	bool in_message;
	bool taking;
	unsigned n_resumed;

	uint8_t *sent[CALL_SENT_MAX]; /* own */
	size_t n_sent[CALL_SENT_MAX];
	unsigned n_messages;
	uint64_t tensor_bytes;
	int send_error; /* what call_send() returns */
	bool blocked;
	size_t work; /* beside its messages */
	size_t kept; /* as call_keep() was told last */
	bool awaits_turn;
	bool closed;
	enum grpc_status status;
	char text[GRPC_MESSAGE_MAX + 1];
};

static inline void double_call_open(
	struct call *c, const struct method *m, void *context, void *connection)
{
	memset(c, 0, sizeof(*c));
	c->method = m;
	c->context = context;
	c->connection = connection;
	c->peer.uid = c->peer.user = -1;
	c->traceparent = c->tracestate = "";
	c->deadline_ns = UINT64_MAX;
	c->received_ns = 1;
	c->state = __real_malloc(m->state_bytes + 1);
	memset(c->state, 0, m->state_bytes + 1);
	if (m->open)
		m->open(c, c->state);
}

static inline void double_call_close(struct call *c)
{
	if (c->closed)
		return;
	c->closed = true;
	if (c->method->close)
		c->method->close(c, c->state);
	free(c->state);
	c->state = NULL;
}

static inline void double_call_free(struct call *c)
{
	double_call_close(c);
	for (unsigned i = 0; i < c->n_messages; i++)
		free(c->sent[i]);
	c->n_messages = 0;
}

/* What it has asked for. */
static inline void double_call_turn(struct call *c)
{
	assert(c->awaits_turn && !c->closed);
	c->awaits_turn = false;
	c->method->turn(c, c->state);
}

/* Hand over what is there until it is not taken. */
static inline void double_call_take(struct call *c)
{
	c->taking = true;
	while (!c->closed && c->n_rest > 0) {
		size_t some = c->chunk && c->chunk < c->n_rest ? c->chunk : c->n_rest;
		uint8_t *copy = __real_malloc(some);
		unsigned resumed = c->n_resumed;
		size_t taken;

		memcpy(copy, c->rest, some);
		taken = c->method->message_data(c, c->state, copy, some);
		free(copy);
		assert(taken <= some);
		c->rest += taken;
		c->n_rest -= taken;
		if (taken < some && c->n_resumed == resumed)
			break;
	}
	c->taking = false;
	if (!c->closed && c->n_rest == 0 && c->in_message) {
		c->in_message = false;
		c->method->message_end(c, c->state);
	}
}

/* A whole message, borrowed until it is taken. True: it was. */
static inline bool double_call_message(struct call *c, const uint8_t *data, size_t n)
{
	if (c->closed)
		return true;
	assert(!c->in_message);
	if (c->method->collect_max) {
		assert(n <= c->method->collect_max);
		c->method->message(c, c->state, data, n);
		return true;
	}
	c->rest = data;
	c->n_rest = n;
	c->in_message = true;
	c->method->message_begin(c, c->state, c->announced ? c->announced : n);
	double_call_take(c);
	return c->closed || !c->in_message;
}

static inline void double_call_half_close(struct call *c)
{
	if (!c->closed && c->method->half_close)
		c->method->half_close(c, c->state);
}

void *call_context(const struct call *c)
{
	return c->context;
}

void *call_connection(const struct call *c)
{
	return c->connection;
}

const struct peer *call_peer(const struct call *c)
{
	return &c->peer;
}

const char *call_traceparent(const struct call *c)
{
	return c->traceparent;
}

const char *call_tracestate(const struct call *c)
{
	return c->tracestate;
}

bool call_draining(const struct call *c)
{
	return c->draining;
}

/* What the transport counts. */
struct calls {
	struct calls_counters counters;
	uint32_t n_connections;
};

struct calls_counters calls_counters(const struct calls *s)
{
	return s->counters;
}

struct transport *calls_transport(struct calls *s)
{
	return (struct transport *)s;
}

uint32_t transport_n_connections(const struct transport *t)
{
	return ((const struct calls *)t)->n_connections;
}

uint64_t call_deadline_ns(const struct call *c)
{
	return c->deadline_ns;
}

uint64_t call_received_ns(const struct call *c)
{
	return c->received_ns;
}

int call_send(struct call *c, const struct part *parts, size_t n)
{
	size_t total = 0;
	uint8_t *data = NULL;

	assert(!c->closed && c->n_messages < CALL_SENT_MAX);
	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	if (!c->send_error) {
		data = malloc(total + 1);
		if (data)
			c->sent[c->n_messages] = data;
	}
	total = 0;
	for (size_t i = 0; i < n; i++) {
		if (data)
			memcpy(data + total, parts[i].data, parts[i].n);
		total += parts[i].n;
		if (parts[i].bulk)
			c->tensor_bytes += parts[i].n;
		if (parts[i].release)
			parts[i].release(parts[i].owner);
	}
	if (!data)
		return c->send_error ? c->send_error : -ENOMEM;
	c->n_sent[c->n_messages++] = total;
	return 0;
}

bool call_blocked(const struct call *c)
{
	return c->blocked;
}

void call_finish(struct call *c, enum grpc_status status, const char *text)
{
	assert(!c->closed);
	c->status = status;
	snprintf(c->text, sizeof(c->text), "%s", text ? text : "");
	double_call_close(c);
}

void call_finishf(struct call *c, enum grpc_status status, const char *format, ...)
{
	char text[GRPC_MESSAGE_MAX + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	call_finish(c, status, text);
}

void call_work(struct call *c, size_t n)
{
	c->work += n;
}

void call_keep(struct call *c, size_t n)
{
	c->kept = n;
}

void call_await_turn(struct call *c)
{
	assert(!c->closed);
	c->awaits_turn = true;
}

void call_resume(struct call *c)
{
	c->n_resumed++;
	if (!c->taking)
		double_call_take(c);
}

#endif
