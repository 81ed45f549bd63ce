/*
 * frontend.h: the door of src/frontend: bytes <-> calls. Daemon process, loop thread.
 *
 *   listener > conn > session > stream > call > service
 */
#ifndef SERVICES_FRONTEND_H
#define SERVICES_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "dispatch/dispatch.h"

struct frontend;

/* Every limit has a name in modeld.conf; the texts of errors name it. 0 means "none" only where
 * said. */
struct frontend_settings {
	const char *const *listen; /* NULL-terminated: "0.0.0.0:50052", "[::]:1", "unix:/p" */
	uint32_t unix_mode;	   /* permissions of Unix sockets, e.g. 0660 */
	const char *unix_group;	   /* NULL: the process's */
	uint32_t max_connections;
	uint32_t max_concurrent_streams; /* a connection */
	uint32_t stream_window_bytes;
	uint32_t connection_window_bytes;
	uint32_t max_frame_bytes;  /* SETTINGS_MAX_FRAME_SIZE offered */
	uint32_t max_header_bytes; /* of a request's header list, RFC 9113 6.5.2 counting */
	uint64_t max_receive_message_bytes;
	uint32_t max_request_metadata_bytes; /* of a message, without its tensor data */
	uint32_t max_stream_requests;	     /* requests in flight of one streaming call */
	uint64_t arena_wait_ms;		     /* how long a request waits for input arena space */
	uint64_t receive_timeout_ms;	     /* an unfinished message may be silent for so long */
	uint64_t send_timeout_ms;	     /* queued output may make no progress for so long */
	uint64_t handshake_timeout_ms;	     /* until preface and SETTINGS came */
	uint64_t idle_timeout_ms;	     /* connection without calls; 0: none */
	uint64_t max_age_ms;		     /* +-10 % jitter; 0: none */
	uint64_t max_age_grace_ms;
	uint64_t keepalive_interval_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t min_ping_interval_ms; /* clients that ping faster get strikes */
	uint32_t max_ping_strikes;     /* 0: no limit */
	uint32_t reset_burst;	       /* RST_STREAM allowed at once ... */
	uint32_t reset_rate;	       /* ... and a second */
	uint64_t max_output_bytes;     /* queued for one connection before replies wait */
	const char *compression;       /* of replies: "none", "gzip", "deflate" */
	uint32_t compression_min_bytes;
	bool strict_readiness; /* health "" is SERVING only with every model ready */
};

struct frontend_counters {
	uint32_t connections; /* open now */
	uint32_t calls;	      /* open now */
	uint64_t calls_total;
	uint64_t tensor_bytes_received;
	uint64_t
		tensor_bytes_copied_in; /* into the arena: equals received, when there is one copy */
	uint64_t tensor_bytes_sent;
	uint64_t tensor_bytes_copied_out; /* by us, on the way to the socket */
};

struct handoff;

struct frontend_events {
	/* frontend_drain() is complete: no connection is left. */
	void (*on_drained)(void *data);
};

/* settings and dispatch are borrowed for the frontend's life. -ENOMEM, -EINVAL */
_must_use_ int frontend_new(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data);
/*
 * Bind and listen on every address. A stale Unix socket (nobody answers) is replaced, a live one is
 * not. On failure nothing listens, and text (cap bytes) says which address and why.
 *
 * -EINVAL malformed address; -EADDRINUSE and other -errno
 */
_must_use_ int frontend_listen(struct frontend *f, char *text, size_t cap);
/* The address that listener i is really bound to ("127.0.0.1:41234" after port 0), NULL past the
 * last. */
const char *frontend_address(const struct frontend *f, size_t i);
/* Start-up is over: the health service may say SERVING. */
void frontend_set_serving(struct frontend *f, bool serving);
/* Requests may name regions from here on; it outlives the frontend. */
void frontend_set_handoff(struct frontend *f, struct handoff *h);
/* dispatch's on_model, passed on: health watchers hear of it. */
void frontend_model_changed(struct frontend *f, struct version *m);
/* Health NOT_SERVING, stop listening, GOAWAY in two steps, calls in flight finish; on_drained later,
 * never before it returns. */
void frontend_drain(struct frontend *f);
/* Close every connection at once; on_drained follows. */
void frontend_kill(struct frontend *f);
/* Write out what was produced. Once a loop iteration, after dispatch_schedule(). */
void frontend_flush(struct frontend *f);
struct frontend_counters frontend_counters(const struct frontend *f);
/* After on_drained or before frontend_listen(). Run the loop before closing it. Accepts NULL;
 * returns NULL. */
struct frontend *frontend_free(struct frontend *f);

#endif
