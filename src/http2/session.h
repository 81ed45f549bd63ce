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

struct client;
struct session;
struct stream;
struct transport;

/* nghttp2's callbacks and options: one for all sessions of a frontend. */
struct session_setup;
struct frontend_settings;
_must_use_ int session_setup_new(
	struct session_setup **ret_setup, const struct frontend_settings *settings);
struct session_setup *session_setup_free(struct session_setup *s);
DEFINE_CLEANUP(struct session_setup *, session_setup_free)

/* Takes fd, closes it on failure. The session is in t->sessions until the loop has closed it and
 * on_session_gone was told; it frees itself. -ENOMEM, -errno */
_must_use_ int session_open(struct transport *t, int fd, bool is_unix);
/* By its place in transport->sessions. */
struct session *session_of(struct list *node);
/* By its place in transport->dirty. Write out what there is. Takes the session off the list. */
void session_flush(struct list *node);
/* GOAWAY in two steps, calls in flight finish, then close. reason: static text, sent along. */
void session_shutdown(struct session *s, const char *reason);
/* Close at once: open calls are closed, nothing more is written. Not from inside a callback. */
void session_kill(struct session *s);

/* Whom its requests are charged to; made at the first call. NULL without memory. */
struct client *session_client(struct session *s);
struct transport *session_transport(const struct session *s);
/* uid of the peer on a Unix socket, else -1. */
int64_t session_peer_uid(const struct session *s);
bool session_peer_loopback(const struct session *s);

#endif
