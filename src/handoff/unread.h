/*
 * unread.h: descriptors on their way to a client: queued here, or in its socket. The kernel counts the latter against our user,
 * whoever lets them lie there; so each counts as a region of the client's user until it was read, also where the
 * connection has ended meanwhile, and region limits bound them all.
 */
#ifndef HANDOFF_UNREAD_H
#define HANDOFF_UNREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct disposal_desk;
struct unread;
struct user;

/* Those of a handoff. */
struct unread_desk {
	struct list all; /* struct unread.node */
	uint64_t swept_ns;
};

void unread_desk_init(struct unread_desk *k);
/* Refunds all, and closes the sockets of connections that have ended. */
void unread_desk_deinit(struct unread_desk *k, struct disposal_desk *disposals);

/* One was queued for fd, the SEQPACKET socket of u's connection (borrowed). *at: those of this connection before; NULL:
 * none. -ENOMEM */
_must_use_ int unread_add(struct unread **at, struct unread_desk *k, struct user *u, int fd);
/* One that was queued is sent; or will not be. */
void unread_sent(struct unread *r);
void unread_dropped(struct unread *r);
/* Refund those that were read. Looks at most every few ms, unless `now_ns` is CLOCK_NO_DEADLINE. */
void unread_sweep(struct unread_desk *k, struct disposal_desk *disposals, uint64_t now_ns);
/* The connection ends; nothing is queued. True: some are not read: fd, its socket, is taken over, and counts as a connection of its user's
 * until they are. Accepts NULL. */
bool unread_keep(struct unread *r, int fd);
/* They are counted no more. Accepts NULL; returns NULL. */
struct unread *unread_free(struct unread *r);

#endif
