/*
 * succession.h: another process of the daemon takes the place of this one, and no call notices (SIGUSR2).
 *
 *   the old one                               the new one
 *   starts its program again, which inherits
 *   the listening sockets, and serves on      loads its models
 *                                             listens, too; says so
 *   lets go of the sockets' files, ends the
 *   channel, drains                           has them; serves alone
 *
 * Between the two is a socket, which the new one's pid crosses, once. That one is nobody's child soon, so that a service manager
 * takes it for its own; so process 1 has no successor. Where the new one ends before, the old one goes on as if nothing had
 * happened; where the old one ends before, so does the new one. Daemon process, loop thread.
 */
#ifndef SUCCESSION_H
#define SUCCESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "base/cleanup.h"

#define SUCCESSION_SOCKETS_MAX 64u

struct succession_events {
	/* Of the old one: the new one listens. */
	void (*on_successor)(void *data, pid_t successor);
	/* Of the old one: the process that was started has ended before. */
	void (*on_failure)(void *data, pid_t started);
	/* Of the new one: the old one has let go, or, where nothing was said to it yet (early), has ended. */
	void (*on_alone)(void *data, bool early);
};

struct succession {
	uv_loop_t *loop;			/* borrow */
	uv_poll_t *poll;			/* own; NULL: no channel */
	const struct succession_events *events; /* borrow */
	void *data;				/* borrow: of events */
	int fd;					/* own; -1: no channel */
	pid_t successor; /* 0: this is the new one; until it tells, its parent's */
	bool told;	 /* the new one has said that it listens */
};

/* Where there is a predecessor, goes on as a child of nobody's. First of all, while there is one thread. */
void succession_detach(void);
/* Looks for a predecessor: $MODELD_PREDECESSOR, which is removed. -errno of libuv's */
_must_use_ int succession_init(
	struct succession *s, uv_loop_t *loop, const struct succession_events *events, void *data);
/* Another daemon serves until we tell it: succession_tell(). */
bool succession_has_predecessor(const struct succession *s);
/* We listen. Once. */
void succession_tell(struct succession *s);
/*
 * Start the program (a path) as a successor, with these listening sockets, which are borrowed.
 * -EBUSY: there is one, or a predecessor; -EPERM: we are process 1; -EMFILE: too many sockets; -errno
 */
_must_use_ int succession_begin(struct succession *s, const char *program, char *const *argv,
	const int *sockets, size_t n_sockets);
/* The old one's last word: the sockets' files are the new one's. */
void succession_let_go(struct succession *s);
/* Memory may go when the loop has turned. Accepts a zeroed one. */
void succession_close(struct succession *s);

#endif
