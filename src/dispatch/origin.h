/*
 * origin.h: where an inference comes from: what a front (gRPC, handoff, ...) knows of a request
 * beside its content.
 */
#ifndef DISPATCH_ORIGIN_H
#define DISPATCH_ORIGIN_H

#include <stdint.h>

struct client;
struct peer;

struct origin {
	struct client *client;	 /* borrow: whom it is charged to */
	const struct peer *peer; /* borrow: who is at the other end of its connection */
	uint64_t deadline_ns;	 /* CLOCK_NO_DEADLINE: none */
	uint64_t received_ns;	 /* when the first byte of its message was read */
	const char *traceparent; /* borrow: W3C trace context; "": none */
	const char *tracestate;	 /* borrow: what goes with it; NULL, "": nothing */
};

#endif
