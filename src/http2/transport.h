/*
 * transport.h: the door of src/http2: listeners and connections of one server, and what they share.
 * It knows streams of bytes with headers; what they mean is for the floor above, which is told
 * through transport_events and stream_events. Daemon process, loop thread.
 *
 *   transport_new -> transport_listen* -> (transport_drain | transport_kill) -> on_drained
 *      -> transport_free
 */
#ifndef HTTP2_TRANSPORT_H
#define HTTP2_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/peer_log.h"
#include "http2/blocks.h"
#include "http2/conn.h"
#include "http2/deadlines.h"
#include "http2/endpoint.h"
#include "http2/gather.h"
#include "http2/rights.h"
#include "http2/settings.h"

struct listener_slot;
struct session_setup;
struct stream_events;
struct transport;

struct transport_events {
	const struct stream_events *streams;
	/* A connection began with these bytes, and they are not HTTP/2's: what to say (static text)
	 * before it is closed; NULL: nothing. */
	const char *(*on_stranger)(const uint8_t *data, size_t n);
	/* A connection is gone, after its streams; kept: what is in its session_kept(), not NULL. */
	void (*on_forget)(void *data, void *kept);
	/* Drained or killed: no connection is left. Once, from the loop. */
	void (*on_drained)(void *data);
};

/* Fields that the floor above uses come first. */
struct transport {
	void *data;			       /* borrow: of the floor above */
	const struct http2_settings *settings; /* borrow */
	struct blocks blocks;
	struct deadlines deadlines;
	uint64_t now_ns; /* when the loop last brought something in */

	/* For src/http2 alone. */
	uv_loop_t *loop;		       /* borrow */
	const struct transport_events *events; /* borrow */
	struct session_setup *setup;	       /* own: callbacks and options of nghttp2 */
	struct listener_slot *listeners;       /* own, in the order they were opened */
	struct conn_shared conns;
	struct rights_desk rights; /* of conns, where descriptors may come */
	struct gather *gather;	   /* own */
	struct list sessions;	   /* every one whose memory is not freed yet */
	struct list dirty;	   /* sessions that may have something to write */
	uint32_t n_connections;
	size_t held_bytes; /* sum over sessions */
	size_t kept_bytes; /* likewise */
	struct peer_log peer_log;
	struct deadline drained; /* tells on_drained from the loop */
	struct deadline again;	 /* the flush was cut short */
	void (*on_session_gone)(
		struct transport *t); /* the memory of one is freed; from the loop */
	bool ending;
	bool told;
};

/* settings and events are borrowed for the transport's life. -ENOMEM */
_must_use_ int transport_new(struct transport **ret_transport, uv_loop_t *loop,
	const struct http2_settings *settings, const struct transport_events *events, void *data);
/*
 * Bind and listen on every address that endpoint->listen stands for; the endpoint is borrowed for
 * the transport's life. A stale Unix socket (nobody answers) is replaced, a live one is not. text
 * (cap bytes): which address and why, on failure; what was opened before stays open.
 *
 * -EINVAL malformed address; -EADDRINUSE and other -errno
 */
_must_use_ int transport_listen(
	struct transport *t, const struct endpoint *endpoint, char *text, size_t cap);
/* Close every listener. */
void transport_stop_listening(struct transport *t);
/* The address that listener i is really bound to ("127.0.0.1:41234" after port 0), NULL past the
 * last. */
const char *transport_address(const struct transport *t, size_t i);
/* Descriptors of the sockets that listen, the first `cap` of them, borrowed until transport_stop_listening(). Returns how many. */
size_t transport_sockets(const struct transport *t, int *fds, size_t cap);
/* The files of Unix sockets belong to another process that listens on the same sockets: they stay. */
void transport_let_go(struct transport *t);
/* There they belong to us: they are removed in the end. */
void transport_take_over(struct transport *t);
/* Take a connected socket as if a listener had accepted it. Returns false when it was refused (and
 * closed). */
bool transport_adopt(struct transport *t, int fd, const struct endpoint *endpoint);
/* Stop listening, GOAWAY in two steps, streams that are open finish; on_drained later, never before
 * it returns. */
void transport_drain(struct transport *t);
/* Close every connection at once; on_drained follows. */
void transport_kill(struct transport *t);
/* Write out what was produced. Once a loop iteration. */
void transport_flush(struct transport *t);
uint32_t transport_n_connections(const struct transport *t);
/* Request bytes that nobody took yet, and memory of what was taken of messages that are not complete, of all connections. */
static inline size_t transport_held_bytes(const struct transport *t)
{
	return t->held_bytes + t->kept_bytes;
}
/* After on_drained or before transport_listen(). Run the loop before closing it. Accepts NULL;
 * returns NULL. */
struct transport *transport_free(struct transport *t);
DEFINE_CLEANUP(struct transport *, transport_free)

#endif
