/*
 * output_share.h: output memory is charged to the client that keeps it: from when it was told of its answer until the
 * last byte was taken, or dropped; and what its requests should take that run meanwhile (output_estimate.h), until
 * they are answered. Who has more than its share gets no new batches until it has less: its queued requests stand
 * aside, all others go on.
 *
 * With n clients that keep `used` bytes of a worker's memory together, each may keep (limit - used) / n: so half of
 * it is shared by those who keep some, and the rest is for all others. What runs is counted likewise, of the memory of all
 * workers that could run it. Who has nothing is never over.
 */
#ifndef DISPATCH_OUTPUT_SHARE_H
#define DISPATCH_OUTPUT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct client;
struct output_lease;

/* Embedded in the tally. Zeroed: nobody is ever over. */
struct output_share {
	uint64_t limit; /* bytes: the output memory of one worker, which all of them may lie in */
	uint64_t used;
	uint64_t expected;  /* bytes: what runs should take */
	uint32_t n_holders; /* clients that keep some */
	uint32_t n_users;   /* clients that keep some, or for whom some is expected */
	struct list aside;  /* struct client.aside_node: those whose requests stand aside */
	bool changed;	    /* something was given back; whoever looks after `aside` clears it */
	void (*wake)(void *data); /* it was, and there are some */
	void *data;
};

void output_share_init(
	struct output_share *s, uint64_t limit, void (*wake)(void *data), void *data);
/* Charge c with what the lease holds if somebody has kept it, and until nobody does. The lease may be NULL. */
void output_share_charge(struct client *c, struct output_lease *lease);
/* Has c more than its share? */
bool output_share_over(const struct client *c);
/* It has not, and may have a request sent that should take so many bytes of one of n workers. */
bool output_share_admits(const struct client *c, uint32_t n_workers, uint64_t bytes);
/* c's requests wait until there is room in its share: output_share.wake. */
void output_share_wait(struct client *c);
/* A request of c's was sent that should take so many bytes; and has come back, or will not: they are 0 then. */
void output_share_expect(struct client *c, uint64_t bytes);
void output_share_settle(struct client *c, uint64_t *bytes);

#endif
