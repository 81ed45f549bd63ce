/*
 * handoff.h: the door of src/handoff: local clients pass memory over a Unix socket and name pieces of
 * it in requests. Daemon process, loop thread.
 *
 *   listener > guest > serve > entry (token) > dispatch's region;   user: who is charged
 *                       serve > inference > dispatch's request
 *
 * A region belongs to the connection that brought it and to the user (SO_PEERCRED) behind it. It
 * is found by its token only; a token that the asker may not use looks like an unknown one.
 */
#ifndef HANDOFF_HANDOFF_H
#define HANDOFF_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "dispatch/dispatch.h"
#include "dispatch/region.h"

struct given_sockets;
struct handoff;
struct peer;
struct tracer;

/* [handoff] of modeld.conf; the texts of errors name the keys. */
struct handoff_settings {
	struct given_sockets *given; /* borrow: sockets that listen already; NULL: none */
	const char *socket;	     /* absolute path; NULL: no handoff */
	uint32_t unix_mode;
	const char *unix_group; /* NULL: the process's */
	uint32_t max_connections;
	uint64_t shm_total_bytes;   /* of all users' regions */
	uint64_t user_bytes;	    /* of one user's; fair share below it */
	uint64_t user_device_bytes; /* the same on GPUs, apart from it; 0: none is taken */
	uint32_t user_regions;
	uint32_t max_regions;	   /* of all users */
	uint32_t max_requests;	   /* in flight on one connection */
	uint64_t max_output_bytes; /* answers queued for a client that does not read */
	uint32_t
		max_unread_answers; /* [limits]: answers in part of a request that wait for the client */
	uint32_t busy_poll_us;	    /* of the loop: clients are told */
	bool tokens_over_tcp;	    /* who knows a token may use it from this host's loopback */
};

struct handoff_counters {
	uint32_t connections;
	uint32_t regions;	 /* registered, or waiting for workers to unmap */
	uint64_t region_bytes;	 /* charged */
	uint64_t requests_total; /* over the handoff socket */
	/* Tensor data that requests named in regions: copied by nobody. */
	uint64_t tensor_bytes_handed;
};

struct handoff_events {
	/* handoff_drain() or handoff_kill() is complete. */
	void (*on_drained)(void *data);
};

/* settings and dispatch are borrowed. -ENOMEM */
_must_use_ int handoff_new(struct handoff **ret_handoff, uv_loop_t *loop,
	const struct handoff_settings *settings, struct dispatch *dispatch,
	const struct handoff_events *events, void *data);
/* Inferences are traced from here on. Borrowed; NULL: they are not. */
void handoff_set_tracer(struct handoff *h, struct tracer *t);
/* Bind and listen; a stale socket is replaced, a live one is not. text says what failed. -errno */
_must_use_ int handoff_listen(struct handoff *h, char *text, size_t cap);
/*
 * A connection for a process of the daemon's own: *ret_fd, own, is its other end. It is served until handoff_dismiss().
 * -EUSERS: beyond [handoff] max_connections; -ESHUTDOWN: that was; -ENOMEM, -errno
 */
_must_use_ int handoff_invite(struct handoff *h, int *ret_fd);
/* The socket that listens, borrowed; -1: none does. */
int handoff_socket(const struct handoff *h);
/* Its file belongs to another process from here on, or to this one: it stays in the end, or is removed. */
void handoff_let_go(struct handoff *h);
void handoff_take_over(struct handoff *h);
/* Stop listening; guests can send no more, what they have sent is served, and they are closed
 * then. on_drained comes from handoff_flush() when all regions are gone. */
void handoff_drain(struct handoff *h);
/* No calls come any more: those who were invited are to go as well, behind all other guests. on_drained does not come before. */
void handoff_dismiss(struct handoff *h);
/* Close every guest at once. on_drained likewise. */
void handoff_kill(struct handoff *h);
/* Write out answers that are queued. Once a loop iteration, after dispatch_schedule(). */
void handoff_flush(struct handoff *h);
/* After on_drained (all regions are gone) or before handoff_listen(). Accepts NULL; returns NULL. */
struct handoff *handoff_free(struct handoff *h);

struct handoff_counters handoff_counters(const struct handoff *h);
void handoff_count_tensor(struct handoff *h, uint64_t bytes);

/*
 * The region with this token (hex text of 32 characters), with a reference for the caller: for the
 * user who brought it, by a Unix socket, and, with tokens_over_tcp, for who knows the token on this host's loopback.
 * -ENOENT: unknown, malformed, or not for this asker: all alike
 */
_must_use_ int handoff_find(
	struct handoff *h, const struct peer *asker, const char *token, struct region **ret_region);

#endif
