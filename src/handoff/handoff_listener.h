/* handoff_listener.h: the Unix socket on which local clients come. */
#ifndef HANDOFF_HANDOFF_LISTENER_H
#define HANDOFF_HANDOFF_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/socket_file.h"
#include "event/acceptor.h"

struct handoff_settings;

struct handoff_listener {
	struct acceptor acceptor;
	bool open;
	struct socket_file file; /* what it is bound to */
	bool managed;		 /* a service manager's: it stays, whoever takes our place */
	/* A client: fd is the callee's. Returns false where there is no room for it. */
	bool (*on_accept)(void *data, int fd);
	void *data;		       /* borrow */
	void (*on_closed)(void *data); /* no handle is left; NULL: nobody waits */
};

/*
 * Bind and listen at settings->socket, borrowed for the listener's life. A socket that nobody answers
 * on is replaced. text says what has failed; there is nothing to close then. -errno
 */
_must_use_ int handoff_listener_open(struct handoff_listener *l, uv_loop_t *loop,
	const struct handoff_settings *settings, bool (*on_accept)(void *data, int fd), void *data,
	char *text, size_t cap);
/* Another process has its socket, too, and its file from here on. */
void handoff_listener_let_go(struct handoff_listener *l);
/* The file of its socket, which another process made, is ours to remove, but for a service manager's. */
void handoff_listener_take_over(
	struct handoff_listener *l, const struct handoff_settings *settings);
/* Whoever has connected, and was not accepted yet, is on_accept's, unless another process has the socket, too. Nobody can connect any
 * more. Harmless when it is not open. */
void handoff_listener_take_waiting(struct handoff_listener *l);
/* Harmless when it is not open. Handles close asynchronously: on_closed, where it is set, comes from
 * the loop. */
void handoff_listener_close(struct handoff_listener *l);
/* No handle is left, or none was opened: the memory may go. */
bool handoff_listener_closed(const struct handoff_listener *l);

#endif
