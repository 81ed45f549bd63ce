/* send.c: batches become Runs. Daemon process, loop thread. */
#include "dispatch/send.h"

#include <assert.h>

#include "base/err.h"
#include "dispatch/batch.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* Returns whether something has happened to the queue. */
static bool send_failed(struct work *w, struct list *taken, uint32_t n, int e, uint64_t now_ns)
{
	struct request *r;

	if (e == WORKER_E_BUSY) {
		work_requeue(w, taken, now_ns);
		return false;
	}
	if ((e == WORKER_E_LARGE || e == WORKER_E_REFS) && n > 1) {
		/* Each alone, then: wire_item_bound() should have kept us from the first, the second concerns those whose
		 * memory the worker does not know yet. */
		list_for_each (taken, node)
			list_entry(node, struct request, node)->joinable = false;
		work_requeue(w, taken, now_ns);
		return true;
	}
	while ((r = request_pop(taken))) {
		if (e == WORKER_E_LARGE)
			request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED,
				"the request's names, shapes and parameters take %zu bytes on the "
				"way to a worker, above the limit of %u (WIRE_MESSAGE_MAX)",
				r->bound, WIRE_MESSAGE_MAX);
		else if (e == WORKER_E_REFS)
			request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED,
				"its memory cannot be handed to a worker: too many descriptors of "
				"the "
				"daemon's user are on the way (RLIMIT_NOFILE)");
		else
			request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED,
				"the request could not be sent to a worker: %s", err_str(e));
	}
	return true;
}

bool send_batch(struct scheduler *s, struct work *w, struct place *p, const uint32_t *lane,
	struct list *taken, uint32_t n, uint64_t now_ns)
{
	struct batch *b;
	uint64_t expect_ns = place_expectation(&s->places, w);
	uint32_t i = 0;
	int e;

	assert(!list_empty(&s->spare) && !p->exclusive);
	b = list_entry(s->spare.next, struct batch, node);
	list_for_each (taken, node)
		s->items[i++] = list_entry(node, struct request, node)->item;
	assert(i == n);
	e = worker_run(
		p->worker, &(struct pool_batch){.model = w->version->pool_model,
				   .items = s->items,
				   .n_items = n,
				   .expect_ns = expect_ns,
				   .now_ns = now_ns,
				   .lane = lane,
				   .alone = list_entry(taken->next, struct request, node)->suspect,
				   .tag = b});
	if (e)
		return send_failed(w, taken, n, e, now_ns);
	list_remove(&b->node);
	list_push_back(&s->sent, &b->node);
	b->work = w;
	b->place = p;
	b->n = n;
	b->n_given_up = 0;
	s->turn_ns += expect_ns;
	for (struct request *r; (r = request_pop(taken));) {
		r->times.dispatched_ns = now_ns;
		r->batch = b;
		list_push_back(&b->requests, &r->node);
		if (r->suspect)
			p->exclusive = b;
	}
	assert(!p->exclusive || (n == 1 && worker_in_flight(p->worker) == 1));
	w->in_flight += n;
	w->version->counters.batches++;
	return true;
}
