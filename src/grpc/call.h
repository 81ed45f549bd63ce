/*
 * call.h: one RPC as a service sees it: deadline, cancellation, messages out, exactly one status.
 * Owned by its stream. Single-threaded.
 */
#ifndef GRPC_CALL_H
#define GRPC_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/grpc_status.h"

struct call;
struct peer;

/* A piece of an outgoing message. */
struct part {
	const void *data;
	size_t n;
	/* NULL: copied before call_send() returns. Else the bytes are sent from where they lie, and
	 * release(owner) is called exactly once when the kernel has them or they are dropped (maybe
	 * before call_send() returns; also when it fails). */
	void (*release)(void *owner);
	void *owner;
	bool bulk; /* counts as such in calls_counters */
};

/* What all services of this server hang from: calls_new()'s data. */
void *call_context(const struct call *c);
/* What services keep with its connection. Borrowed. */
void *call_connection(const struct call *c);
/* Who is at the other end; lives as long as the call. */
const struct peer *call_peer(const struct call *c);
/* The traceparent header, well-formed; "": there was none. */
const char *call_traceparent(const struct call *c);
/* The tracestate header, cut to TRACESTATE_BYTES; "": there was none, or no traceparent, without which it says nothing. */
const char *call_tracestate(const struct call *c);
/* The server has begun to drain. */
bool call_draining(const struct call *c);
/* CLOCK_MONOTONIC; CLOCK_NO_DEADLINE when the client set none. */
uint64_t call_deadline_ns(const struct call *c);
/* When the first byte of the current (or last) request message was read. */
uint64_t call_received_ns(const struct call *c);

/*
 * Queue one message made of n parts; the gRPC prefix is added here, and the response headers
 * before the first message. Compressed when configured, allowed by the client and large enough.
 *
 * -ENOMEM    the call is finished INTERNAL by the caller
 * -EMSGSIZE  more than 4 GiB - 1
 */
_must_use_ int call_send(struct call *c, const struct part *parts, size_t n);
/* Bytes of this call that are queued and not yet written are above the high-water mark: a streaming
 * service stops producing until `writable`. */
bool call_blocked(const struct call *c);
/* End the call: trailers after everything queued, or Trailers-Only when nothing was sent. Exactly one
 * status: close is called from inside, and `c` must not be used after. text: NUL-terminated, may be
 * NULL, any bytes. */
void call_finish(struct call *c, enum grpc_status status, const char *text);
/* The same with a printf format; cut at GRPC_MESSAGE_MAX. */
void call_finishf(struct call *c, enum grpc_status status, const char *format, ...) _printf_(3, 4);
/* What came of a message that is not complete is kept in n bytes of memory by now, outside of what is charged otherwise: as
 * often as that changes, until close. Where calls have too much of that together, this one or another one ends. */
void call_keep(struct call *c, size_t n);
/* What its message asks for takes as long as n messages more, some 10 us each: others have their turn first. */
void call_work(struct call *c, size_t n);
/* Have the method's `turn` called, once, when there is room in a turn of the loop: for an answer that takes long and that no message of
 * just now asks for. After the call's last message; not from inside of `turn`. May end the call, for want of memory. */
void call_await_turn(struct call *c);
/* After message_data took less than it was given: go on. May call message_data before it returns. */
void call_resume(struct call *c);

#endif
