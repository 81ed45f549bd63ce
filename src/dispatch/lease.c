/*
 * lease.c: lends pieces of the input arena, charged to a client each, and keeps the line of those
 * who wait for one.
 *
 * How much anybody may have is input_share.h's to say.
 *
 * The line is served in order. Who is at the front and finds the arena full stops everybody behind
 * him, and newcomers too; who waits only because of a share is passed over. Small pieces have a line of their
 * own: nobody stands before them but the likes of them.
 * Nobody is called from lease_unref(): it leaves a mark, lease_desk_serve() does the rest.
 *
 * What is lent is resident: pages of a small piece are made at once, those of a large one on another
 * thread (populate.c). Meanwhile the piece is the waiter's, who stands beside the line and stops nobody.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/lease.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/client_private.h"
#include "dispatch/input_share.h"
#include "dispatch/lease_private.h"

#define LEASE_SPARE_MAX 1024u
/* Pages of so many bytes are made at once: some 0.1 ms. */
#define POPULATE_NOW_MAX (256u * 1024u)

struct lease {
	uint32_t refs;
	struct lease_desk *desk; /* borrow */
	struct client *client;	 /* ref */
	struct span span;	 /* own */
	void *data;		 /* into the arena */
	uint64_t charge;	 /* bytes charged to client */
	struct list node;	 /* in lease_desk.spare */
};

void lease_desk_init(
	struct lease_desk *k, struct arena *arena, void (*wake)(void *data), void *data)
{
	k->arena = arena;
	k->wake = wake;
	k->data = data;
	list_init(&k->line);
	list_init(&k->small);
	list_init(&k->cold);
	list_init(&k->spare);
	list_init(&k->here);
}

void lease_desk_deinit(struct lease_desk *k)
{
	struct list *node;

	assert(k->n_leases == 0);
	assert(k->n_holders == 0);
	if (k->line.next)
		assert(list_empty(&k->line) && list_empty(&k->small) && list_empty(&k->cold));
	while (k->spare.next && (node = list_first(&k->spare))) {
		list_remove(node);
		free(list_entry(node, struct lease, node));
	}
}

static bool share_allows(const struct lease_desk *k, const struct client *c, uint64_t length)
{
	const struct input_share now = {.limit = arena_limit(k->arena),
		.used = arena_used(k->arena),
		.n_holders = k->n_holders};

	return input_share_allows(&now, c->bytes, input_share_charge(length));
}

/* The most that a client may have, when it takes a piece of that length. */
static uint64_t max_for(const struct lease_desk *k, uint64_t length)
{
	return input_share_max(arena_limit(k->arena), input_share_charge(length));
}

static struct list *line_of(struct lease_desk *k, uint64_t length)
{
	bool small = input_share_is_small(arena_limit(k->arena), input_share_charge(length));

	return small ? &k->small : &k->line;
}

static bool anybody_waits(const struct lease_desk *k)
{
	return !list_empty(&k->line) || !list_empty(&k->small);
}

uint64_t lease_max(const struct lease_desk *k)
{
	return max_for(k, UINT64_MAX);
}

static struct lease *lease_take(struct lease_desk *k)
{
	struct list *node = list_first(&k->spare);

	if (!node)
		return malloc(sizeof(struct lease));
	list_remove(node);
	k->n_spare--;
	return list_entry(node, struct lease, node);
}

static void lease_give(struct lease_desk *k, struct lease *l)
{
	if (k->n_spare >= LEASE_SPARE_MAX) {
		free(l);
		return;
	}
	k->n_spare++;
	list_init(&l->node);
	list_push_front(&k->spare, &l->node);
}

static int code_of(int r)
{
	switch (r) {
	case ARENA_E_FULL:
		return LEASE_E_FULL;
	case ARENA_E_TOO_LARGE:
		return LEASE_E_LARGE;
	case ARENA_E_MEMORY:
		return LEASE_E_MEMORY;
	default:
		return r;
	}
}

static int lease_check(struct lease_desk *k, const struct client *c, uint64_t length)
{
	if (length > max_for(k, length))
		return LEASE_E_LARGE;
	if (!share_allows(k, c, length))
		return LEASE_E_SHARE;
	if (!list_empty(line_of(k, length)) && k->serving_client != c)
		return LEASE_E_FULL;
	return 0;
}

/* A lease whose pages may be missing. */
static int make_lease(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node)
{
	struct lease *l = lease_take(k);
	int r;

	if (!l)
		return -ENOMEM;
	r = arena_alloc_near(k->arena, length, numa_node, &l->span);
	if (r) {
		lease_give(k, l);
		return code_of(r);
	}
	l->refs = 1;
	l->desk = k;
	l->data = arena_data(k->arena, &l->span);
	l->charge = input_share_charge(length);
	l->client = client_ref(c);
	client_charge_bytes(c, l->charge, &k->n_holders);
	k->n_leases++;
	k->grew = true;
	*ret_lease = l;
	return 0;
}

/* At most `max` bytes. LEASE_E_FULL: later. LEASE_E_MEMORY: never. */
static int make_resident(struct lease *l, uint64_t max)
{
	struct arena *a = l->desk->arena;
	uint64_t missing = arena_missing(a, &l->span);

	if (missing == 0)
		return 0;
	if (missing == UINT64_MAX)
		return LEASE_E_MEMORY;
	return missing <= max ? code_of(arena_populate_span(a, &l->span)) : LEASE_E_FULL;
}

/* What was found for the one who is served, if that is who asks; it is void if he asks for anything
 * else. */
static bool take_offer(struct lease_desk *k, const struct client *c, uint64_t length,
	struct lease **ret_lease, int *ret_refusal)
{
	if (k->serving_client != c || (!k->offer && !k->refusal))
		return false;
	if (k->offered_length != length) {
		k->offer = lease_unref(k->offer);
		k->refusal = 0;
		return false;
	}
	*ret_refusal = k->refusal;
	if (k->offer)
		*ret_lease = k->offer;
	k->offer = NULL;
	k->refusal = 0;
	return true;
}

static int lease_find(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node, uint64_t populate_max)
{
	struct lease *l;
	int r;

	if (take_offer(k, c, length, ret_lease, &r))
		return r;
	r = lease_check(k, c, length);
	if (!r)
		r = make_lease(&l, k, c, length, numa_node);
	if (r)
		return r;
	r = make_resident(l, populate_max);
	if (r) {
		lease_unref(l);
		return r;
	}
	*ret_lease = l;
	return 0;
}

int lease_new(struct lease **ret_lease, struct lease_desk *k, struct client *c, uint64_t length,
	uint32_t numa_node)
{
	return lease_find(ret_lease, k, c, length, numa_node, POPULATE_NOW_MAX);
}

int lease_new_at_once(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node)
{
	return lease_find(ret_lease, k, c, length, numa_node, UINT64_MAX);
}

static void note_change(struct lease_desk *k)
{
	k->changed = true;
	k->wake(k->data);
}

struct lease *lease_ref(struct lease *l)
{
	l->refs++;
	return l;
}

struct lease *lease_unref(struct lease *l)
{
	struct lease_desk *k;
	int r;

	if (!l)
		return NULL;
	assert(l->refs > 0);
	if (--l->refs > 0)
		return NULL;
	k = l->desk;
	r = arena_release(k->arena, &l->span);
	assert(r == 0);
	(void)r;
	client_refund_bytes(l->client, l->charge, &k->n_holders);
	client_unref(l->client);
	k->n_leases--;
	lease_give(k, l);
	if (anybody_waits(k))
		note_change(k);
	return NULL;
}

void *lease_data(const struct lease *l)
{
	return l->data;
}

void *lease_at(const struct lease *l, uint64_t offset)
{
	assert(lease_holds(l, offset, 0));
	return (uint8_t *)l->data + offset;
}

uint64_t lease_length(const struct lease *l)
{
	return l->span.length;
}

bool lease_holds(const struct lease *l, uint64_t offset, uint64_t length)
{
	return offset <= l->span.length && length <= l->span.length - offset;
}

struct span lease_span(const struct lease *l)
{
	return l->span;
}

void lease_wait(struct lease_desk *k, struct lease_waiter *w, struct client *c, uint64_t length,
	uint32_t numa_node, void (*on_space)(struct lease_waiter *w))
{
	w->desk = k;
	w->client = c;
	w->length = length;
	w->numa_node = numa_node;
	w->on_space = on_space;
	w->lease = NULL;
	list_init(&w->node);
	if (k->serving == w) {
		k->serving = NULL;
		list_insert_before(&k->here, &w->node);
		return;
	}
	w->since_ns = clock_ns();
	list_push_back(line_of(k, length), &w->node);
	note_change(k);
}

void lease_wait_cancel(struct lease_waiter *w)
{
	if (list_empty(&w->node))
		return;
	list_remove(&w->node);
	w->lease = lease_unref(w->lease);
	note_change(w->desk);
}

/* Offer it a lease, which is taken over, or a refusal; where neither, it may look for itself. Returns
 * false when the waiter stood in line again: there was no room after all. */
static bool serve_one(
	struct lease_desk *k, struct lease_waiter *w, struct lease *offer, int refusal)
{
	bool served;

	list_remove(&w->node);
	k->serving = w;
	k->serving_client = w->client;
	k->offer = offer;
	k->refusal = refusal;
	k->offered_length = w->length;
	w->on_space(w);
	/* w may be gone now. */
	served = k->serving != NULL;
	k->serving = NULL;
	k->serving_client = NULL;
	k->offer = lease_unref(k->offer);
	k->refusal = 0;
	return served;
}

/* For the first in line. Returns false where the line stops. */
static bool serve_first(struct lease_desk *k, struct lease_waiter *w)
{
	struct lease *l = NULL;
	int r = make_lease(&l, k, w->client, w->length, w->numa_node);

	if (r == LEASE_E_FULL)
		return false;
	if (!r)
		r = make_resident(l, POPULATE_NOW_MAX);
	if (r != LEASE_E_FULL) {
		if (r)
			l = lease_unref(l);
		return serve_one(k, w, l, r);
	}
	w->lease = l;
	list_remove(&w->node);
	list_push_back(&k->cold, &w->node);
	return true;
}

/* k->here walks along the line: before it are those who were passed over. */
static void serve_line(struct lease_desk *k, struct list *line)
{
	list_push_front(line, &k->here);
	while (k->here.next != line) {
		struct lease_waiter *w = list_entry(k->here.next, struct lease_waiter, node);

		if (!share_allows(k, w->client, w->length)) {
			list_remove(&k->here);
			list_insert_before(w->node.next, &k->here);
			continue;
		}
		if (!serve_first(k, w))
			break;
	}
	list_remove(&k->here);
}

static struct lease_waiter *first_warm(struct lease_desk *k)
{
	list_for_each (&k->cold, node) {
		struct lease_waiter *w = list_entry(node, struct lease_waiter, node);
		uint64_t missing = arena_missing(k->arena, &w->lease->span);

		if (missing == 0 || missing == UINT64_MAX)
			return w;
	}
	return NULL;
}

static void serve_warm(struct lease_desk *k)
{
	struct lease_waiter *w;

	while ((w = first_warm(k))) {
		struct lease *l = w->lease;
		bool there = arena_missing(k->arena, &l->span) == 0;

		w->lease = NULL;
		if (!there)
			l = lease_unref(l);
		list_push_front(&k->line, &k->here); /* where it stands if it waits again */
		serve_one(k, w, l, there ? 0 : LEASE_E_MEMORY);
		list_remove(&k->here);
	}
}

void lease_desk_serve(struct lease_desk *k)
{
	if (!k->changed)
		return;
	k->changed = false;
	serve_warm(k);
	serve_line(k, &k->small);
	serve_line(k, &k->line);
}

void lease_desk_populated(struct lease_desk *k)
{
	if (!list_empty(&k->cold) || anybody_waits(k))
		note_change(k);
}
