/*
 * lent.h: memory that was made here for a client, and is registered no more. It is the daemon's as long as anybody has it:
 * so it stays charged to the client's user until he has closed and unmapped it, also where his connection has ended
 * meanwhile. The kernel tells who has it (memfd_is_alone()).
 */
#ifndef HANDOFF_LENT_H
#define HANDOFF_LENT_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct dispatch;
struct lent;
struct user;

/* Those of a handoff. */
struct lent_desk {
	struct dispatch *dispatch; /* borrow */
	struct list all;	   /* struct lent.node */
	uint32_t n;
	uint64_t swept_ns;
};

void lent_desk_init(struct lent_desk *k, struct dispatch *d);
/* Refunds all: the daemon's end is that of its descriptors. */
void lent_desk_deinit(struct lent_desk *k);

/* For memory of `bytes` bytes, charged to u. -ENOMEM */
_must_use_ int lent_new(
	struct lent **ret_lent, struct lent_desk *k, struct user *u, uint64_t bytes);
/* Of one that was not given back yet; nothing is refunded. Accepts NULL; returns NULL. */
struct lent *lent_free(struct lent *l);
/* Registered no more, and no process of ours maps it. Takes over l, the charge, and fd: one that memfd_reopen() made. */
void lent_give_back(struct lent *l, int fd);
/* Refund what nobody has any more: of some of them in each call, in turn. Looks at most every few ms, unless `now_ns` is
 * CLOCK_NO_DEADLINE. */
void lent_sweep(struct lent_desk *k, uint64_t now_ns);

#endif
