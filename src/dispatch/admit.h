/* admit.h: whether a request may wait for a worker: the door's judgement, and the way into the queue. */
#ifndef DISPATCH_ADMIT_H
#define DISPATCH_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct request;

/*
 * Judge a request (NEW) and put it into its version's queue (QUEUED). closed: no requests are taken any
 * more. max_per_client: queued or in flight.
 * DISPATCH_E_REFUSED: it is still NEW; its status and text say why (dispatch.h lists the reasons)
 */
_must_use_ int admit(struct request *r, bool closed, uint32_t max_per_client);

#endif
