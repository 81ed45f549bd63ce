/*
 * given_sockets.h: sockets that listened before this process did: a service manager opened them (sd_listen_fds(3)), kept
 * them over a restart, or the daemon whose place we take hands them over. Their queues go on: nobody is refused meanwhile.
 * Daemon process, loop thread.
 */
#ifndef BASE_GIVEN_SOCKETS_H
#define BASE_GIVEN_SOCKETS_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define GIVEN_SOCKETS_FIRST 3 /* descriptor */
#define GIVEN_SOCKETS_MAX   64u

/* Zeroed: none. */
struct given_sockets {
	int fds[GIVEN_SOCKETS_MAX]; /* own; -1: taken */
	size_t n;
};

/*
 * Those that $LISTEN_FDS counts, if $LISTEN_PID is this process or is not set; close-on-exec from here on. The variables are
 * removed. Once, before anything else opens descriptors.
 */
void given_sockets_collect(struct given_sockets *g);
/*
 * The one of this type that is bound to the address and listens, non-blocking; -1: there is none. Port 0 means any port of
 * the address. The caller's to close; a Unix socket's file is not.
 */
int given_sockets_take(
	struct given_sockets *g, int type, const struct sockaddr *address, socklen_t n);
/* Closes what was not taken. Returns how many. */
size_t given_sockets_close(struct given_sockets *g);

#endif
