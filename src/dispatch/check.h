/* check.h: a request against its model's declaration: the one place where what a client says about
 * its tensors is judged. */
#ifndef DISPATCH_CHECK_H
#define DISPATCH_CHECK_H

#include <stdbool.h>

#include "dispatch/request.h"

/*
 * Check inputs, shapes, sizes and rows; on 0 the request's wire item and what the batcher goes by
 * are filled in. DISPATCH_E_REFUSED: its status and text say why.
 */
_must_use_ int check_request(struct request *r);
/* The same of inputs that are states of a sequence, which a request has only when it is about to be sent. */
_must_use_ int check_states(struct request *r);
/* Can the two, which were checked, share a batch? */
bool request_joins(const struct request *a, const struct request *b);

#endif
