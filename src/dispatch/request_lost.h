/* request_lost.h: what becomes of a request whose worker is gone. For src/dispatch alone. */
#ifndef DISPATCH_REQUEST_LOST_H
#define DISPATCH_REQUEST_LOST_H

#include <stdint.h>

#include "base/list.h"
#include "pool/pool.h"

struct request;

/*
 * r (SENT, in no list and no batch) had this worker, as worker_loss() calls it, which is lost so. It is answered, or goes
 * once more: as a suspect, alone; or, where something else was to blame, into `again` (struct request.node), for
 * work_requeue(). Calls on_done.
 */
void request_lost(
	struct request *r, const char *worker, enum lost how, struct list *again, uint64_t now_ns);

#endif
