/*
 * output_share.c: who keeps how much output memory.
 *
 * Bytes are charged where an answer's lease is kept beyond the telling: small outputs are copied, and cost nothing here. The
 * limit is that of one worker, while the charges are those of all: however a client's answers are spread, it fills
 * none. Of what several answers share each client is charged for its part, and for parts that others have let go of one who
 * keeps the rest there.
 *
 * What is expected is charged while a request is SENT, so that it cannot be forgotten.
 *
 * Invariants: used is the sum of all clients' output_bytes, n_holders the number of those above 0; expected that of
 * their expected_bytes, n_users the number of those who have either; each charge holds a reference to its client, and
 * each request does. Daemon process, loop thread.
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

static void note_change(struct output_share *s)
{
	if (!s->aside.next || list_empty(&s->aside) || s->changed)
		return;
	s->changed = true;
	s->wake(s->data);
}

/* The last reference to a lease of the client's is gone. */
static void on_lease_end(void *data, uint64_t bytes)
{
	struct client *c = data;

	client_refund_output(c, bytes);
	note_change(&c->tally->outputs);
	client_unref(c);
}

static void on_lease_more(void *data, uint64_t bytes)
{
	client_charge_output(data, bytes);
}

static const struct output_charge charge = {.on_more = on_lease_more, .on_end = on_lease_end};

void output_share_charge(struct client *c, struct output_lease *lease)
{
	uint64_t bytes = lease ? output_lease_charge(lease, &charge, c) : 0;

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

bool output_share_admits(const struct client *c, uint32_t n_workers, uint64_t bytes)
{
	const struct output_share *s = &c->tally->outputs;
	uint64_t all, taken = s->used + s->expected;

	if (output_share_over(c))
		return false;
	if (bytes == 0 || c->output_bytes + c->expected_bytes == 0 || s->limit == 0)
		return true;
	if (__builtin_mul_overflow(s->limit, n_workers > 0 ? n_workers : 1, &all))
		all = UINT64_MAX;
	return quota_allows(taken < all ? all - taken : 0, s->n_users,
		c->output_bytes + c->expected_bytes, bytes);
}

void output_share_wait(struct client *c)
{
	if (list_empty(&c->aside_node))
		list_push_back(&c->tally->outputs.aside, &c->aside_node);
}

void output_share_expect(struct client *c, uint64_t bytes)
{
	if (bytes > 0)
		client_charge_expected(c, bytes);
}

void output_share_settle(struct client *c, uint64_t *bytes)
{
	if (*bytes == 0)
		return;
	client_refund_expected(c, *bytes);
	*bytes = 0;
	note_change(&c->tally->outputs);
}
