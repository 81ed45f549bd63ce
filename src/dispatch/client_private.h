/* client_private.h: struct client, for src/dispatch alone. */
#ifndef DISPATCH_CLIENT_PRIVATE_H
#define DISPATCH_CLIENT_PRIVATE_H

#include "base/list.h"
#include "dispatch/client.h"
#include "dispatch/tally.h"

struct client {
	struct tally *tally; /* borrow: outlives every client */
	uint32_t refs;
	uint32_t requests;	 /* charged: queued or in flight */
	uint64_t bytes;		 /* charged: input arena, in granules */
	uint64_t output_bytes;	 /* charged: output memory of workers */
	uint64_t expected_bytes; /* charged: what its requests that were sent should take of it */
	struct list aside_node;	 /* in output_share.aside */
	struct list lines;	 /* struct line.client_node: where it has requests queued */
};

void client_charge_request(struct client *c);
void client_refund_request(struct client *c);
/* The number of clients that hold bytes is kept in *n_holders. */
void client_charge_bytes(struct client *c, uint64_t bytes, uint32_t *n_holders);
void client_refund_bytes(struct client *c, uint64_t bytes, uint32_t *n_holders);
/* The same of output memory, kept and expected; the tally has the sums. */
void client_charge_output(struct client *c, uint64_t bytes);
void client_refund_output(struct client *c, uint64_t bytes);
void client_charge_expected(struct client *c, uint64_t bytes);
void client_refund_expected(struct client *c, uint64_t bytes);

#endif
