/* tally.h: what is counted over all clients and versions of one dispatch. Each part counts for itself, so
 * that it need not know the door. */
#ifndef DISPATCH_TALLY_H
#define DISPATCH_TALLY_H

#include <stdint.h>

#include "dispatch/output_share.h"

struct tally {
	uint32_t n_clients;
	uint32_t n_requests; /* charged to clients: QUEUED, SENT or LEAVING */
	uint64_t activity;   /* grows with each request submitted and each batch answered */
	struct output_share outputs;
};

#endif
