/* listener.h: one listening socket of an endpoint. */
#ifndef HTTP2_LISTENER_H
#define HTTP2_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/given_sockets.h"
#include "base/socket_file.h"
#include "event/acceptor.h"
#include "http2/endpoint.h"

struct listener {
	struct acceptor acceptor;
	const struct endpoint *endpoint; /* borrow */
	struct address address;		 /* really bound to */
	char text[ADDRESS_TEXT_MAX];
	/* Takes fd. Returns false when it closed it because there is no room. */
	bool (*on_accept)(void *data, int fd, const struct endpoint *endpoint);
	/* Is there room for one more? Asked where descriptors may come, before on_accept. */
	bool (*has_room)(void *data, const struct endpoint *endpoint);
	void *data;		     /* borrow */
	struct given_sockets *given; /* borrow; NULL: none */
	void (*on_closed)(struct listener *l);
	struct socket_file file; /* of a Unix socket */
	bool managed;	  /* a service manager's Unix socket: it stays, whoever takes our place */
	bool rights_come; /* with what is sent on its connections: rights.h is to read them */
};

/*
 * Bind and listen on one of the endpoint's addresses, or take what was given there; on_accept, has_room, data and given are filled in before. The
 * endpoint is borrowed for the listener's life. text (cap bytes): which address and why, on failure.
 * The listener must not move in memory.
 *
 * -EADDRINUSE, -ENOENT (group unknown), -errno
 */
_must_use_ int listener_open(struct listener *l, uv_loop_t *loop, const struct endpoint *endpoint,
	const struct address *address, char *text, size_t cap);
/* Its Unix socket's file goes over to another process, or, there, comes from one; a service manager's is neither's. */
void listener_let_go(struct listener *l);
void listener_take_over(struct listener *l);
/* Stop and close; a Unix socket's file is removed. on_closed: from the loop, then the memory may
 * go. */
void listener_close(struct listener *l, void (*on_closed)(struct listener *l));

#endif
