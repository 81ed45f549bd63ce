/*
 * disposal.h: descriptors of clients' that are closed by threads of their own (base/closing.h), charged to their
 * users until that is done.
 */
#ifndef HANDOFF_DISPOSAL_H
#define HANDOFF_DISPOSAL_H

#include <stddef.h>

#include "base/list.h"

struct user;

/* Those of a handoff. */
struct disposal_desk {
	struct list running; /* struct disposal.node */
};

void disposal_desk_init(struct disposal_desk *k);
/* Refunds all; threads that have not ended yet are left to themselves. */
void disposal_desk_deinit(struct disposal_desk *k);
/*
 * Close fds (own; -1: none). It counts as a connection of the user's until it is done, and so it is
 * bounded as they are. Without memory for a thread it is done here.
 */
void disposal_start(struct disposal_desk *k, struct user *u, const int *fds, size_t n);
/* Refund what is done. */
void disposal_desk_sweep(struct disposal_desk *k);

#endif
