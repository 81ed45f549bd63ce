/*
 * doors.h: where clients come in, of gRPC and of the handoff together: opened, kept by a service manager, handed over to the
 * daemon that takes our place. Daemon process, loop thread.
 */
#ifndef DOORS_H
#define DOORS_H

#include <stddef.h>

#include "base/cleanup.h"
#include "config.h"

struct frontend;
struct handoff;

struct doors {
	const struct config *config; /* borrow, as the rest */
	struct frontend *frontend;
	struct handoff *handoff;
};

/* Listen everywhere, on what was given (config.given) where that is bound there. Logs; returns an exit code. */
_must_use_ int doors_open(const struct doors *d);
/* Descriptors of what listens, `cap` at most; borrowed. Returns how many. */
size_t doors_sockets(const struct doors *d, int *fds, size_t cap);
/* The files of Unix sockets belong to another process from here on, or to this one. */
void doors_let_go(const struct doors *d);
void doors_take_over(const struct doors *d);
/* Where the service manager keeps descriptors ($FDSTORE), it gets the sockets of TCP, and gives them back to the daemon that it
 * starts next: who connects meanwhile waits. */
void doors_store(const struct doors *d);

#endif
