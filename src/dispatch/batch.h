/* batch.h: requests of one version that were sent to a worker together. For src/dispatch alone. */
#ifndef DISPATCH_BATCH_H
#define DISPATCH_BATCH_H

#include <stdint.h>

#include "base/list.h"

struct place;
struct work;

struct batch {
	struct list node;     /* in scheduler.spare or .sent */
	struct list requests; /* struct request.node, as sent */
	struct work *work;    /* borrow */
	struct place *place;  /* borrow */
	uint32_t n;
	uint32_t n_given_up; /* of them */
};

#endif
