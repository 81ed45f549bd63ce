/* give_up.c: counts, for each batch, whom nobody waits for any more. Daemon process, loop thread. */
#include "dispatch/give_up.h"

#include "dispatch/batch.h"
#include "dispatch/place.h"
#include "dispatch/request_private.h"
#include "pool/worker.h"

void give_up(struct request *r)
{
	struct batch *b = r->batch;

	/* It may be on its way to its answer already. */
	if (!b || r->given_up)
		return;
	r->given_up = true;
	if (++b->n_given_up == b->n)
		worker_cancel(b->place->worker, b);
}

void give_up_late(struct list *sent, uint64_t now_ns)
{
	list_for_each (sent, at) {
		list_for_each (&list_entry(at, struct batch, node)->requests, node) {
			struct request *r = list_entry(node, struct request, node);

			if (r->deadline_ns <= now_ns)
				give_up(r);
		}
	}
}
