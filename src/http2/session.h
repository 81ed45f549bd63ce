/*
 * session.h: one HTTP/2 connection: a conn, an nghttp2_session, its streams. The only code that
 * knows nghttp2 is session*.c.
 *
 *   HANDSHAKE -SETTINGS came-> OPEN -session_shutdown-> NOTICED -PING ack-> LEAVING
 *      LEAVING -no stream left, all written-> LINGERING (FIN sent) -EOF-> CLOSED
 * Any state goes to CLOSED when the connection is lost; its streams are closed then.
 */
#ifndef HTTP2_SESSION_H
#define HTTP2_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct endpoint;
struct peer;
struct session;
struct stream;
struct transport;

/* Streams of a connection that wait for a turn of the loop, in whose order the floor above decides. */
struct session_late {
	struct list node; /* among connections that have some */
	struct list streams;
};

/* nghttp2's callbacks and options: one for all sessions of a transport. */
struct session_setup;
struct http2_settings;
_must_use_ int session_setup_new(
	struct session_setup **ret_setup, const struct http2_settings *settings);
struct session_setup *session_setup_free(struct session_setup *s);
DEFINE_CLEANUP(struct session_setup *, session_setup_free)

/* Takes fd, closes it on failure. endpoint is borrowed for the session's life. The session is in t->sessions until the loop has closed it and
 * on_session_gone was told; it frees itself. -ENOMEM, -errno */
_must_use_ int session_open(struct transport *t, int fd, const struct endpoint *endpoint);
/* By its place in transport->sessions. */
struct session *session_of(struct list *node);
/* By its place in transport->dirty. Write out what there is. Takes the session off the list. */
void session_flush(struct list *node);
/* GOAWAY in two steps, calls in flight finish, then close. reason: static text, sent along. */
void session_shutdown(struct session *s, const char *reason);
/* Close at once: open calls are closed, nothing more is written. Not from inside a callback. */
void session_kill(struct session *s);

struct transport *session_transport(const struct session *s);
const struct endpoint *session_endpoint(const struct session *s);
const struct peer *session_peer(const struct session *s);
/* A place for what the floor above keeps with a connection; NULL at first. on_forget gets it. */
void **session_kept(struct session *s);
/* Both lists are empty at first; the node is taken out when the connection has gone. */
struct session_late *session_late(struct session *s);

#endif
