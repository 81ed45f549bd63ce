/*
 * client.c: whom resources are charged to. Every charge is refunded by the destructor of what was
 * charged for, so a leak anywhere in dispatch shows as a failed assertion here.
 *
 * Invariant: a client with charges has references (each request and each lease holds one).
 * Daemon process, loop thread.
 */
#include "dispatch/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "dispatch/client_private.h"

int client_new(struct client **ret_client, struct tally *t)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->tally = t;
	c->refs = 1;
	list_init(&c->lines);
	list_init(&c->aside_node);
	t->n_clients++;
	*ret_client = c;
	return 0;
}

struct client *client_ref(struct client *c)
{
	c->refs++;
	return c;
}

struct client *client_unref(struct client *c)
{
	if (!c)
		return NULL;
	assert(c->refs > 0);
	if (--c->refs > 0)
		return NULL;
	assert(c->requests == 0);
	assert(c->bytes == 0 && c->output_bytes == 0 && c->expected_bytes == 0);
	assert(list_empty(&c->lines));
	list_remove(&c->aside_node);
	c->tally->n_clients--;
	free(c);
	return NULL;
}

uint64_t client_bytes(const struct client *c)
{
	return c->bytes;
}

uint64_t client_output_bytes(const struct client *c)
{
	return c->output_bytes;
}

uint32_t client_requests(const struct client *c)
{
	return c->requests;
}

void client_charge_request(struct client *c)
{
	c->requests++;
	c->tally->n_requests++;
}

void client_refund_request(struct client *c)
{
	assert(c->requests > 0 && c->tally->n_requests > 0);
	c->requests--;
	c->tally->n_requests--;
}

void client_charge_bytes(struct client *c, uint64_t bytes, uint32_t *n_holders)
{
	if (c->bytes == 0)
		++*n_holders;
	c->bytes += bytes;
}

void client_refund_bytes(struct client *c, uint64_t bytes, uint32_t *n_holders)
{
	assert(c->bytes >= bytes);
	c->bytes -= bytes;
	if (c->bytes == 0)
		--*n_holders;
}

/* Is output memory charged to it, in one way or the other? */
static bool uses_output(const struct client *c)
{
	return c->output_bytes > 0 || c->expected_bytes > 0;
}

void client_charge_output(struct client *c, uint64_t bytes)
{
	struct output_share *s = &c->tally->outputs;

	s->n_users += !uses_output(c);
	s->n_holders += c->output_bytes == 0;
	c->output_bytes += bytes;
	s->used += bytes;
}

void client_refund_output(struct client *c, uint64_t bytes)
{
	struct output_share *s = &c->tally->outputs;

	assert(c->output_bytes >= bytes && s->used >= bytes);
	s->used -= bytes;
	c->output_bytes -= bytes;
	s->n_holders -= c->output_bytes == 0;
	s->n_users -= !uses_output(c);
}

void client_charge_expected(struct client *c, uint64_t bytes)
{
	struct output_share *s = &c->tally->outputs;

	s->n_users += !uses_output(c);
	c->expected_bytes += bytes;
	s->expected += bytes;
}

void client_refund_expected(struct client *c, uint64_t bytes)
{
	struct output_share *s = &c->tally->outputs;

	assert(c->expected_bytes >= bytes && s->expected >= bytes);
	s->expected -= bytes;
	c->expected_bytes -= bytes;
	s->n_users -= !uses_output(c);
}
