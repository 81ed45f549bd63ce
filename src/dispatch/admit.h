/* admit.h: whether a request may wait for a worker: the door's judgement, and the way into the queue. */
#ifndef DISPATCH_ADMIT_H
#define DISPATCH_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct client;
struct request;
struct version;

/*
 * Judge a request (NEW) and put it into its version's queue (QUEUED). closed: no requests are taken any
 * more. max_per_client: queued or in flight.
 * DISPATCH_E_REFUSED: it is still NEW; its status and text say why (dispatch.h lists the reasons)
 */
_must_use_ int admit(struct request *r, bool closed, uint32_t max_per_client);
/* Is there room for one more that waits? DISPATCH_E_REFUSED, as above */
_must_use_ int admit_limits(struct request *r, uint32_t max_per_client);

/* Should a streaming call wait before it adds one more? v: NULL: for the client's limit alone. */
bool admit_full(const struct client *c, const struct version *v, uint32_t max_per_client);

#endif
