/*
 * acceptor.h: takes connections from a listening socket, on the loop. What the process cannot take
 * (descriptors, memory, a limit of the taker's) is accepted and closed, so that the queue in the
 * kernel never fills with connections that nobody will serve. Where one may have descriptors in it already, whose
 * closing waits, a thread closes it, and the listening socket too.
 */
#ifndef EVENT_ACCEPTOR_H
#define EVENT_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"

struct acceptor;

struct acceptor_events {
	/* Takes fd (non-blocking, close-on-exec). Returns false when it closed it because there is no
	 * room: by acceptor_discard() where descriptors may come. May close the acceptor. */
	bool (*on_accept)(struct acceptor *a, int fd);
	/* After acceptor_close(), from the loop: the memory may go. */
	void (*on_closed)(struct acceptor *a);
	const char *limit; /* for the log: what there is no room in */
	/* Where descriptors may come with what is sent, otherwise NULL: as seqpacket_end(). */
	bool (*end)(int fd);
};

/* So many connections that are refused may be closed elsewhere at the same time; then nobody is accepted until one is. */
#define ACCEPTOR_CLOSINGS_MAX 64u

struct closing;

struct acceptor {
	uv_poll_t poll;
	uv_timer_t pause;		      /* until accepting is tried again */
	const struct acceptor_events *events; /* borrow */
	const char *name;		      /* borrow; for the log: where clients come */
	uint64_t complained_ns;		      /* when a refusal was logged last */
	uint64_t n_refused;		      /* since then */
	int fd;				      /* own; -1: not open */
	bool shared;  /* another process has fd, too: who waits there is its */
	int spare_fd; /* own; given up to accept when descriptors are out */
	struct closing *closings[ACCEPTOR_CLOSINGS_MAX]; /* own */
	unsigned n_closings;
	unsigned n_handles; /* not closed yet */
};

/*
 * Begin to accept on fd, a socket that listens, non-blocking. Takes fd, on failure too. Must not move
 * in memory. After a failure there is nothing to close. -errno
 */
_must_use_ int acceptor_open(struct acceptor *a, uv_loop_t *loop, int fd, const char *name,
	const struct acceptor_events *events);
/* Close one that was accepted and has no room. */
void acceptor_discard(struct acceptor *a, int fd);
/* Nobody can connect any more; who has is told of by on_accept, which may not close it. Nothing where the socket is shared. Ahead of
 * acceptor_close(). */
void acceptor_take_waiting(struct acceptor *a);
/* Stop, close the socket; on_closed follows. Once, after acceptor_open() succeeded. */
void acceptor_close(struct acceptor *a);

#endif
