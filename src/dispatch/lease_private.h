/* lease_private.h: the desk that lends the input arena out, for src/dispatch alone. */
#ifndef DISPATCH_LEASE_PRIVATE_H
#define DISPATCH_LEASE_PRIVATE_H

#include "dispatch/lease.h"
#include "shm/arena.h"

struct lease_desk {
	struct arena *arena;	  /* borrow */
	void (*wake)(void *data); /* lease_desk_serve() has something to do */
	void *data;		  /* borrow: wake's */
	struct list line;	  /* struct lease_waiter.node, first come first served */
	struct list small;	  /* the same, of those who want a small piece */
	struct list cold;  /* the same, of those who have a lease whose pages are being made */
	struct list spare; /* struct lease.node, for reuse */
	uint32_t n_spare;
	uint32_t n_leases;  /* lent now */
	uint32_t n_holders; /* clients that hold bytes */
	bool changed;	    /* space or share came back, or somebody joined the line */
	bool grew;	    /* something was lent since the populating was last looked at */
	struct list here;   /* while serving: the place in line of the one that is served */
	const struct lease_waiter *serving;  /* borrow, compared only; NULL: nobody */
	const struct client *serving_client; /* borrow, compared only: may go past the line */
	struct lease *offer;		     /* own: for the one that is served, of ... */
	uint64_t offered_length;
	int refusal; /* ... or why there is none; 0: no reason */
};

/* `wake` is called from inside other calls: it must not call back into the desk. */
void lease_desk_init(
	struct lease_desk *k, struct arena *arena, void (*wake)(void *data), void *data);
/* Accepts a zeroed desk. Asserts that nothing is lent and nobody waits. */
void lease_desk_deinit(struct lease_desk *k);
/* Tell those in line who may try now. Calls on_space. */
void lease_desk_serve(struct lease_desk *k);
/* Pages were made, or could not be, or a segment left: those who wait are to be looked at. */
void lease_desk_populated(struct lease_desk *k);

#endif
