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

struct handoff_settings;

struct handoff_listener {
	bool open; /* poll is to be closed */
	int fd;	   /* own; -1: closed */
	int spare; /* own: given up to refuse a client when descriptors run out; -1: none */
	uv_poll_t poll;
	uv_timer_t pause;	 /* accepting goes on when it fires */
	const char *path;	 /* borrow */
	struct socket_file file; /* what it is bound to */
	uint64_t complained_ns;	 /* of the last log line about a refusal */
	/* A client: fd is the callee's. Returns false where there is no room for it. */
	bool (*on_accept)(void *data, int fd);
	void *data;		       /* borrow */
	uint32_t n_handles;	       /* not closed yet */
	void (*on_closed)(void *data); /* when the last of them is; NULL: nobody waits */
};

/*
 * Bind and listen at settings->socket. A socket that nobody answers on is replaced. text says what
 * has failed, and nothing is left behind then but handles that close with the loop's next turn. -errno
 */
_must_use_ int handoff_listener_open(struct handoff_listener *l, uv_loop_t *loop,
	const struct handoff_settings *settings, bool (*on_accept)(void *data, int fd), void *data,
	char *text, size_t cap);
/* Harmless when it is not open. Handles close asynchronously: n_handles. */
void handoff_listener_close(struct handoff_listener *l);

#endif
