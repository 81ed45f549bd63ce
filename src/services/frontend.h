/*
 * frontend.h: the door of src/services: endpoints, and the services that they offer, between clients
 * and dispatch. Daemon process, loop thread.
 *
 *   frontend_new -> frontend_listen -> (frontend_drain | frontend_kill) -> on_drained -> frontend_free
 */
#ifndef SERVICES_FRONTEND_H
#define SERVICES_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "dispatch/dispatch.h"
#include "grpc/settings.h"
#include "http2/settings.h"
#include "services/settings.h"

struct frontend;
struct busy_poll;
struct handoff;
struct lifecycle;
struct spool;
struct tracer;
struct log_ring;

/* Each floor's, and where to listen. */
struct frontend_settings {
	const char *const *listen; /* NULL-terminated: "0.0.0.0:50052", "[::]:1", "unix:/p" */
	uint32_t unix_mode;	   /* permissions of Unix sockets, e.g. 0660 */
	const char *unix_group;	   /* NULL: the process's */
	struct http2_settings http2;
	struct grpc_settings grpc;
	struct services_settings services;
};

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
/* See transport_sockets(), transport_let_go() and transport_take_over(). */
size_t frontend_sockets(const struct frontend *f, int *fds, size_t cap);
void frontend_let_go(struct frontend *f);
void frontend_take_over(struct frontend *f);
/* Start-up is over: the health service may say SERVING. */
void frontend_set_serving(struct frontend *f, bool serving);
/* Requests may name regions from here on; it outlives the frontend. */
void frontend_set_handoff(struct frontend *f, struct handoff *h);
/* Services may load and unload models from here on; it outlives the frontend. */
void frontend_set_lifecycle(struct frontend *f, struct lifecycle *l);
/* Files of models are taken, and kept there; NULL: they are not. Borrowed. */
void frontend_set_spool(struct frontend *f, struct spool *s);
/* Calls are traced from here on; it outlives the frontend. NULL: they are not. */
void frontend_set_tracer(struct frontend *f, struct tracer *t);
/* The control service shows how often the loop looked on instead of sleeping, from here on; n of them, which outlive the frontend. */
void frontend_set_polls(struct frontend *f, const struct busy_poll *polls, size_t n);
/* The control service has the log's last lines from here on; it outlives the frontend. */
void frontend_set_log(struct frontend *f, struct log_ring *log);
/* dispatch's on_version, passed on: health watchers hear of it in frontend_flush(). */
void frontend_model_changed(struct frontend *f, struct version *m);
/* Health NOT_SERVING, stop listening, GOAWAY in two steps, calls in flight finish; on_drained later,
 * never before it returns. */
void frontend_drain(struct frontend *f);
/* Close every connection at once; on_drained follows. */
void frontend_kill(struct frontend *f);
/* Start-up is over, it does not drain, and models are ready as [server] strict_readiness wants them: what the
 * health service says of "". */
bool frontend_ready(struct frontend *f);
bool frontend_draining(const struct frontend *f);
/* Write out what was produced. Once a loop iteration, after dispatch_schedule(). */
void frontend_flush(struct frontend *f);
struct frontend_counters {
	uint32_t connections, calls; /* open now */
	uint64_t calls_total;
	/* Now: of requests that nobody took yet; of replies that wait for being compressed. */
	uint64_t held_bytes, compressing_bytes;
	/* Inline tensor data: taken from requests; ... of which each byte was copied once, into the arena; of
	 * replies; ... of which so many were copied. */
	uint64_t tensor_bytes_received, tensor_bytes_copied_in;
	uint64_t tensor_bytes_sent, tensor_bytes_copied_out;
};
struct frontend_counters frontend_counters(const struct frontend *f);
uint32_t frontend_n_connections(const struct frontend *f);
uint32_t frontend_n_calls(const struct frontend *f);
/* After on_drained or before frontend_listen(). Run the loop before closing it. Accepts NULL;
 * returns NULL. */
struct frontend *frontend_free(struct frontend *f);
DEFINE_CLEANUP(struct frontend *, frontend_free)

#endif
