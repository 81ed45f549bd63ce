/*
 * lease.h: a piece of the input arena lent to the frontend, charged to a client. The frontend
 * writes tensor bytes to lease_data() and hands the lease to a request; it never sees offsets.
 */
#ifndef DISPATCH_LEASE_H
#define DISPATCH_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/client.h"
#include "shm/span.h"

struct lease;
struct lease_desk;

enum {
	LEASE_E_FULL = 1,   /* not now: wait with lease_wait() */
	LEASE_E_LARGE = 2,  /* never: larger than one may have of the input arena */
	LEASE_E_SHARE = 3,  /* it would leave others too little: wait */
	LEASE_E_MEMORY = 4, /* the host has no memory for it */
};

/* The longest that there can be. */
uint64_t lease_max(const struct lease_desk *k);
/* One lease of `length` bytes, from dispatch_desk(), near that NUMA node as far as may be (arena_alloc_near()).
 * -ENOMEM besides the codes above. */
_must_use_ int lease_new(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node);
/* The same for one who cannot wait: LEASE_E_FULL never means that pages are missing. May take long. */
_must_use_ int lease_new_at_once(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node);
struct lease *lease_ref(struct lease *l);
/* Frees the span with the last reference. Accepts NULL; returns NULL. */
struct lease *lease_unref(struct lease *l);
DEFINE_CLEANUP(struct lease *, lease_unref)

void *lease_data(const struct lease *l);
/* Its bytes from `offset` on. */
void *lease_at(const struct lease *l, uint64_t offset);
uint64_t lease_length(const struct lease *l);
/* Are [offset, offset + length) within it? */
bool lease_holds(const struct lease *l, uint64_t offset, uint64_t length);
struct span lease_span(const struct lease *l);

/*
 * Wait in line for space. on_space is called from the loop when lease_new() of that length and node by that
 * client may succeed (it may still fail: wait again; the place in line is kept when the waiter
 * is added again from inside on_space). Embedded in the waiting object; remove before it goes.
 */
struct lease_waiter {
	struct list node;
	struct lease_desk *desk; /* borrow */
	struct client *client;	 /* borrow */
	uint64_t length;
	uint32_t numa_node;
	uint64_t since_ns;
	struct lease *lease; /* own: its pages are being made; NULL: in line */
	void (*on_space)(struct lease_waiter *w);
};

void lease_wait(struct lease_desk *k, struct lease_waiter *w, struct client *c, uint64_t length,
	uint32_t numa_node, void (*on_space)(struct lease_waiter *w));
/* Harmless when it is not waiting (but it must have been initialised by list_init on node). */
void lease_wait_cancel(struct lease_waiter *w);

#endif
