/*
 * http.h: the door of src/http: HTTP/1.1 for pages and probes, on libmicrohttpd, turned by the daemon's loop: no
 * thread. It knows nothing of what it serves: whoever made it says what a path has. Only GET and HEAD are
 * answered. Daemon process, loop thread.
 *
 * At most max_connections are open, with 48 KiB of memory each, the head of a request included; one on which
 * nothing moved for timeout_ms is closed, and where all are taken, the one that has gone longest without an answer that it
 * took wholly, for the next one. A reply that is large is read from its source piece by piece as the
 * client takes it, one piece a connection and turn of the loop.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/cleanup.h"

struct http;

struct http_settings {
	const char *listen; /* "127.0.0.1:8002"; the first address that it stands for is taken */
	uint32_t max_connections;
	uint64_t timeout_ms; /* in whole seconds */
};

/* What a long reply is read from. Embedded in the object that makes it. */
struct http_source {
	/* The next bytes, at most cap, into out: how many; 0: that was all; a negative errno: it cannot be gone
	 * on with, and the client shall see that. Must not block. */
	ssize_t (*read)(struct http_source *s, char *out, size_t cap);
	/* Nothing is read any more: it may go. Once, also when nothing was read. */
	void (*close)(struct http_source *s);
};

struct http_reply {
	unsigned status;	    /* 200 ... */
	const char *type;	    /* Content-Type; static */
	const char *text;	    /* copied; NULL: `source` */
	size_t n;		    /* bytes of text */
	struct http_source *source; /* own; NULL: `text` */
};

struct http_events {
	/* Somebody asks for a path, decoded, without what stood behind a "?". Fill in the reply: it is an
	 * empty 404 before. */
	void (*on_get)(void *data, const char *path, struct http_reply *reply);
};

/* settings and events are borrowed for its life. Nothing listens yet. -ENOMEM */
_must_use_ int http_new(struct http **ret_http, uv_loop_t *loop,
	const struct http_settings *settings, const struct http_events *events, void *data);
/*
 * Bind and listen; may be tried again when it failed. text (cap bytes) says which address and why.
 * -EINVAL, -ENOENT malformed address, unknown name; -EADDRINUSE and other -errno
 */
_must_use_ int http_listen(struct http *h, char *text, size_t cap);
/* Where it really listens ("127.0.0.1:41234" after port 0). Only when http_listen() succeeded. */
const char *http_address(const struct http *h);
/* Closes all connections at once; sources are closed from inside. Run the loop before closing it.
 * Accepts NULL; returns NULL. */
struct http *http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free)

#endif
