/*
 * model_handles.h: handles of clients on models: who has one keeps its model from being evicted. A handle is known to who was
 * given it alone. It is given back, or goes with its connection; that of a session goes when the session was not named for
 * session_ttl_ms.
 */
#ifndef SERVICES_MODEL_HANDLES_H
#define SERVICES_MODEL_HANDLES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"

/* 128 bits in hexadecimal. */
#define MODEL_HANDLE_DIGITS 32u
#define MODEL_SESSION_MAX   255u

#define MODEL_HANDLES_BUCKETS 256u

struct lifecycle;

struct model_handles_settings {
	uint32_t max_handles;  /* of a connection or a session */
	uint32_t max_sessions; /* of all clients */
	uint64_t session_ttl_ms;
};

/* Embedded. */
struct model_handles {
	const struct model_handles_settings *settings; /* borrow */
	struct lifecycle *lifecycle;		       /* borrow; NULL: there are no handles */
	struct list owners; /* struct owner: connections and sessions that have some */
	struct list buckets[MODEL_HANDLES_BUCKETS]; /* struct model_handle, by token */
	uint32_t n_sessions;
	uv_timer_t *timer; /* own; NULL: closed */
};

enum {
	MODEL_HANDLES_E_FULL = 1, /* max_handles */
	MODEL_HANDLES_E_SESSIONS, /* max_sessions */
};

/* -ENOMEM */
_must_use_ int model_handles_init(
	struct model_handles *h, uv_loop_t *loop, const struct model_handles_settings *settings);
/* All of them go. The timer is closed, and free once the loop has run. Accepts a zeroed one. */
void model_handles_close(struct model_handles *h);
/*
 * One more on this model, of the connection, or of the session where one is named (1 to MODEL_SESSION_MAX bytes). token:
 * MODEL_HANDLE_DIGITS and a NUL.
 * MODEL_HANDLES_E_FULL, MODEL_HANDLES_E_SESSIONS, -ENOMEM, -errno of the source of randomness
 */
_must_use_ int model_handles_add(struct model_handles *h, const char *model, const void *connection,
	const char *session, char *token);
/* Give one back; how many there are on its model still. False: there is no such handle. */
bool model_handles_release(struct model_handles *h, const char *token, uint32_t *ret_remaining);
/* The connection is gone, and so are those of its own. */
void model_handles_forget(struct model_handles *h, const void *connection);

#endif
