/*
 * listener.h: one listening socket. Accepts on the loop and hands descriptors over; what the
 * process cannot take (descriptors, memory, the connection cap) is accepted and closed, so that the
 * queue in the kernel never fills with connections that nobody will serve.
 */
#ifndef HTTP2_LISTENER_H
#define HTTP2_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "base/socket_file.h"
#include "http2/deadlines.h"
#include "http2/endpoint.h"

struct listener {
	uv_poll_t poll;
	const struct endpoint *endpoint; /* borrow */
	struct address address;		 /* really bound to */
	char text[ADDRESS_TEXT_MAX];
	/* Takes fd. Returns false when it closed it because there is no room. */
	bool (*on_accept)(void *data, int fd, const struct endpoint *endpoint);
	void *data;		     /* borrow */
	struct deadlines *deadlines; /* borrow */
	struct deadline pause;	     /* until accepting is tried again */
	uint64_t complained_ns;	     /* when a refusal was logged last */
	uint64_t n_refused;	     /* since then */
	struct socket_file file;     /* of a Unix socket */
	int fd;
	int spare_fd; /* given up to accept when descriptors are out */
};

/*
 * Bind and listen on one of the endpoint's addresses. The endpoint is borrowed for the listener's
 * life. text (cap bytes): which address and why, on failure. The listener must not move in memory.
 * -EADDRINUSE, -ENOENT (group unknown), -errno
 */
_must_use_ int listener_open(struct listener *l, uv_loop_t *loop, struct deadlines *deadlines,
	const struct endpoint *endpoint, const struct address *address, char *text, size_t cap);
/* Stop and close; a Unix socket's file is removed. on_closed: from the loop, then the memory may
 * go. */
void listener_close(struct listener *l, uv_close_cb on_closed);

#endif
