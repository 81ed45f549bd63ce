/*
 * calls.h: the door of src/grpc: the RPCs of one server. It owns the transport that brings them, and
 * knows services as tables of methods: which ones an endpoint offers is said by a service_index in
 * endpoint.offer. Daemon process, loop thread.
 *
 *   calls_new -> transport_listen* -> (calls_drain | calls_kill) -> on_drained -> calls_free
 */
#ifndef GRPC_CALLS_H
#define GRPC_CALLS_H

#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "grpc/settings.h"
#include "http2/transport.h"

struct calls;

struct calls_events {
	/* The first call of a connection: what services keep with it, for call_connection(), not
	 * NULL. -ENOMEM: the call is refused, the next one asks again */
	int (*on_connection)(void *data, void **ret_connection);
	/* The connection is gone, and its calls. */
	void (*on_connection_gone)(void *data, void *connection);
	/* calls_drain() or calls_kill() is complete: no connection is left. Once, from the loop. */
	void (*on_drained)(void *data);
};

struct calls_counters {
	uint32_t open;
	uint64_t total;
	uint64_t bulk_bytes_sent;   /* of parts that are marked so */
	uint64_t bulk_bytes_copied; /* by us, on the way to the socket */
	uint64_t held_bytes;	    /* of requests that wait or are incomplete */
	uint64_t compressing_bytes; /* of replies that wait for being compressed */
};

/* settings and events are borrowed for the calls' life; data is call_context() of every call.
 * -ENOMEM; -EINVAL: no such compression */
_must_use_ int calls_new(struct calls **ret_calls, uv_loop_t *loop,
	const struct http2_settings *http2, const struct grpc_settings *settings,
	const struct calls_events *events, void *data);
/* For listening and flushing. */
struct transport *calls_transport(struct calls *s);
/* transport_drain(); calls that would go on for ever are told to end (method.drain). */
void calls_drain(struct calls *s);
/* transport_kill() */
void calls_kill(struct calls *s);
struct calls_counters calls_counters(const struct calls *s);
/* After on_drained or before transport_listen(). Run the loop before closing it. Accepts NULL;
 * returns NULL. */
struct calls *calls_free(struct calls *s);
DEFINE_CLEANUP(struct calls *, calls_free)

#endif
