/*
 * output_share.c: who keeps how much output memory.
 *
 * Bytes are charged where an answer's lease is kept beyond the telling: small outputs are copied, and cost nothing here. The
 * limit is that of one worker, while the charges are those of all: however a client's answers are spread, it fills
 * none. A lease that several answers share is the first client's that keeps it.
 *
 * Invariants: used is the sum of all clients' output_bytes, n_holders the number of those above 0; each charge holds a
 * reference to its client. Daemon process, loop thread.
 */
#include "dispatch/output_share.h"

#include <assert.h>

#include "dispatch/client_private.h"
#include "dispatch/quota.h"
#include "pool/worker.h"

void output_share_init(struct output_share *s, uint64_t limit, void (*wake)(void *data), void *data)
{
	*s = (struct output_share){.limit = limit, .wake = wake, .data = data};
	list_init(&s->aside);
}

/* The last reference to a lease of the client's is gone. */
static void on_lease_end(void *data, uint64_t bytes)
{
	struct client *c = data;
	struct output_share *s = &c->tally->outputs;

	client_refund_output(c, bytes);
	if (s->aside.next && !list_empty(&s->aside) && !s->changed) {
		s->changed = true;
		s->wake(s->data);
	}
	client_unref(c);
}

void output_share_charge(struct client *c, struct output_lease *lease)
{
	uint64_t bytes = lease ? output_lease_charge(lease, on_lease_end, c) : 0;

	if (bytes == 0)
		return;
	client_ref(c);
	client_charge_output(c, bytes);
}

bool output_share_over(const struct client *c)
{
	const struct output_share *s = &c->tally->outputs;
	uint64_t remaining;

	if (c->output_bytes == 0 || s->limit == 0)
		return false;
	remaining = s->used < s->limit ? s->limit - s->used : 0;
	return !quota_allows(remaining, s->n_holders, c->output_bytes, 0);
}
