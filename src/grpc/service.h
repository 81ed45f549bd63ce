/*
 * service.h: what a gRPC service is to the transport. Each service is one pair of files with one
 * `const struct method name[]`; services/tables.c lists them. Adding a service: a pair and a line.
 *
 * A call's life, seen by a method (all from the loop):
 *   open -> (message_begin -> message_data* -> message_end)* -> half_close -> close
 * or, where `collect_max` is set, open -> message* -> half_close -> close.
 * close comes exactly once and may come at any point: client cancelled, connection lost, deadline,
 * call_finish() (from inside it). After close the call must not be used.
 */
#ifndef GRPC_SERVICE_H
#define GRPC_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/cleanup.h"
#include "grpc/call.h"

struct method {
	const char *path;      /* "/package.Service/Method" */
	bool client_streaming; /* else exactly one message: UNIMPLEMENTED otherwise, by the transport */
	bool server_streaming;
	size_t state_bytes; /* zeroed memory for the service, freed after close */
	/* Not 0: the transport collects each message up to so many bytes and calls `message`; larger
	 * ones are RESOURCE_EXHAUSTED. 0: the three below. */
	size_t collect_max;

	/* May be NULL. */
	void (*open)(struct call *c, void *state);
	/* data is borrowed during the call. */
	void (*message)(struct call *c, void *state, const uint8_t *data, size_t n);

	/* length: of the uncompressed message; UINT64_MAX when it is compressed. */
	void (*message_begin)(struct call *c, void *state, uint64_t length);
	/* Returns how many bytes were taken. Fewer than n: the service is waiting (for arena space);
	 * the rest and all that follows stays with the transport, whose stream window then closes,
	 * until call_resume(). Not called again after call_finish(). */
	size_t (*message_data)(struct call *c, void *state, const uint8_t *data, size_t n);
	void (*message_end)(struct call *c, void *state);

	/* The client has sent all. A unary method whose message came is told too. May be NULL. */
	void (*half_close)(struct call *c, void *state);
	/* What call_await_turn() asked for. May be NULL where nobody asks. */
	void (*turn)(struct call *c, void *state);
	/* Queued reply bytes fell below the low-water mark again (streaming replies). May be NULL. */
	void (*writable)(struct call *c, void *state);
	/* The server has begun to drain (call_draining() is true): a call that would go on for ever
	 * ends itself when what it has begun is done. May be NULL. */
	void (*drain)(struct call *c, void *state);
	/* May be NULL. */
	void (*close)(struct call *c, void *state);
};

struct service {
	const char *name;			      /* "grpc.health.v1.Health" */
	const struct method *methods;		      /* ends with path NULL */
	const ProtobufCServiceDescriptor *descriptor; /* as it was published */
};

/* The methods of services by :path: a hash table, const after it is made. */
struct service_index;
/* services: NULL-terminated, borrowed. -ENOMEM, -EEXIST (one path twice) */
_must_use_ int service_index_new(
	struct service_index **ret_index, const struct service *const *services);
struct service_index *service_index_free(struct service_index *x);
DEFINE_CLEANUP(struct service_index *, service_index_free)
/* Find by :path (n bytes, no NUL). NULL: UNIMPLEMENTED. */
const struct method *service_index_find(const struct service_index *x, const char *path, size_t n);

#endif
