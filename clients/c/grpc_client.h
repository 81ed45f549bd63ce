/*
 * grpc_client.h: gRPC calls over one connection (TCP or Unix socket, prior-knowledge HTTP/2), for
 * programs without an event loop. Many calls may be open at once; all I/O happens in
 * grpc_client_run(). Client process; one thread at a time per client.
 *
 * Errors are negative -errno; `text` buffers get a sentence that names address and cause.
 */
#ifndef CLIENTS_C_GRPC_CLIENT_H
#define CLIENTS_C_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/grpc_status.h"

struct grpc_client;
struct grpc_call;

/* A piece of a request message. */
struct grpc_piece {
	const void *data;
	size_t n;
};

struct grpc_call_options {
	const char *path; /* "/package.Service/Method"; borrow until the call is freed */
	/* Of the one request message; the array is copied, the bytes are borrowed until the call is
	 * freed. */
	const struct grpc_piece *pieces;
	size_t n_pieces;
	uint64_t timeout_ns;		      /* sent as grpc-timeout; UINT64_MAX: none */
	const char *traceparent, *tracestate; /* headers, well-formed; NULL: none */
	uint64_t max_message_bytes;	      /* larger replies end the call RESOURCE_EXHAUSTED */
	/* A reply message, whole; borrowed during the call. Called from grpc_client_run(). */
	void (*on_message)(void *data, const uint8_t *message, size_t n);
	/* It has ended, the server has not begun it, and says so (RFC 9113, 8.7), or it never went out: sending it again is
	 * safe. Called from grpc_client_run(); NULL: nobody asks. */
	void (*on_refused)(void *data);
	void *data;
};

/*
 * Connect to "host:port", "[ipv6]:port" or "unix:/path" within timeout_ns.
 *
 * -EINVAL     malformed address
 * -ETIMEDOUT  nobody answered in time
 * -ENOMEM; -EHOSTUNREACH: no such name; -errno of socket, connect
 */
_must_use_ int grpc_client_new(struct grpc_client **ret_client, const char *address,
	uint64_t timeout_ns, char *text, size_t cap);
/* Calls that are still open end CANCELLED; free them first. Accepts NULL; returns NULL. */
struct grpc_client *grpc_client_free(struct grpc_client *c);
DEFINE_CLEANUP(struct grpc_client *, grpc_client_free)

/* For poll(2): readable when grpc_client_run() would find something. */
int grpc_client_fd(const struct grpc_client *c);
/* Is this a Unix socket? */
bool grpc_client_is_local(const struct grpc_client *c);
/* Is the connection gone? */
bool grpc_client_is_lost(const struct grpc_client *c);
/* Does it take no more calls (GOAWAY; its stream numbers are used up), while those that are open go on? Also where it is lost. */
bool grpc_client_is_going(const struct grpc_client *c);
/* Is no call open? */
bool grpc_client_is_idle(const struct grpc_client *c);

/*
 * Queue a call. Nothing is sent before grpc_client_run().
 *
 * -EPIPE     the connection is gone, or the server takes no more calls on it (GOAWAY)
 * -EMSGSIZE  the request is above 4 GiB
 * -ENOMEM
 */
_must_use_ int grpc_call_new(struct grpc_call **ret_call, struct grpc_client *c,
	const struct grpc_call_options *options);
/* An open call is cancelled. Accepts NULL; returns NULL. */
struct grpc_call *grpc_call_free(struct grpc_call *k);
DEFINE_CLEANUP(struct grpc_call *, grpc_call_free)

bool grpc_call_done(const struct grpc_call *k);
/* Did it end with its connection, so that whether the server has begun it is not known? Or, see on_refused, is that known? */
bool grpc_call_is_lost(const struct grpc_call *k);
bool grpc_call_is_refused(const struct grpc_call *k);
/* Messages received. */
size_t grpc_call_n_messages(const struct grpc_call *k);
/* Once done. */
enum grpc_status grpc_call_status(const struct grpc_call *k);
const char *grpc_call_message(const struct grpc_call *k);

/*
 * Send and receive until `until` is done (NULL: until anything was received) or deadline_ns
 * (CLOCK_MONOTONIC) passed. The loss of the connection ends every open call UNAVAILABLE.
 *
 * -ETIMEDOUT  the deadline passed
 * -EPIPE      the connection is gone (all calls are done now)
 * -ENOMEM
 */
_must_use_ int grpc_client_run(
	struct grpc_client *c, const struct grpc_call *until, uint64_t deadline_ns);
/* The same on a call's own connection, until it is done or anything was received. */
_must_use_ int grpc_call_run(const struct grpc_call *k, uint64_t deadline_ns);

#endif
