/*
 * infer_room.c: room in the input arena for the tensors of one message.
 *
 * Waiting: the arena has no room, so a place in the line is taken, and whoever asked lets the
 * transport keep the rest of the bytes. When there is room, the lease is taken at once, in the line's
 * turn, and found when it is asked for again. The place in line and the timer are in a block of their
 * own, since a timer is closed asynchronously and the call's state may be gone by then.
 *
 * Invariants: while it waits no lease is held; ready implies lease; used <= lease_length(lease).
 * Daemon process, loop thread.
 */
#include "services/infer_room.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "shm/arena.h"

/* Bytes of a message that a tensor costs besides its own, at least: a tag and a length. */
#define PIECE_OVERHEAD 2u

struct infer_wait {
	struct infer_room *room; /* borrow */
	struct lease_waiter waiter;
	uint64_t length;
	uv_timer_t timer;
};

void infer_room_init(struct infer_room *m, struct services *x, struct client *client,
	struct infer_failure *failure, const struct infer_room_events *events, void *data)
{
	*m = (struct infer_room){
		.services = x,
		.client = client,
		.failure = failure,
		.events = events,
		.data = data,
		.pieces = m->first,
		.cap = sizeof(m->first) / sizeof(m->first[0]),
	};
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void end_wait(struct infer_room *m)
{
	struct infer_wait *w = m->wait;

	if (!w)
		return;
	m->wait = NULL;
	lease_wait_cancel(&w->waiter);
	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

static void drop_all(struct infer_room *m)
{
	while (m->n_pieces > 0)
		lease_unref(m->pieces[--m->n_pieces].lease);
	m->lease = lease_unref(m->lease);
	m->ready = false;
}

void infer_room_deinit(struct infer_room *m)
{
	end_wait(m);
	drop_all(m);
	if (m->pieces != m->first)
		free(m->pieces);
	m->pieces = NULL;
	m->cap = 0;
}

void infer_room_clear(struct infer_room *m)
{
	assert(!m->wait);
	if (!m->ready)
		drop_all(m);
}

/* --- a lease ---------------------------------------------------------------------------------- */

static uint64_t arena_bytes(const struct infer_room *m)
{
	return arena_limit(dispatch_arena(m->services->dispatch));
}

static int fail_large(struct infer_room *m, uint64_t length)
{
	return infer_fail(m->failure, GRPC_RESOURCE_EXHAUSTED,
		"tensor data of %" PRIu64 " bytes is larger than one request may have of the input "
		"arena, %" PRIu64 ": [memory] input_arena_bytes is %" PRIu64,
		length, lease_max(dispatch_desk(m->services->dispatch)), arena_bytes(m));
}

static int fail_waited(struct infer_room *m, uint64_t length)
{
	uint64_t wait_ms = m->services->settings->arena_wait_ms;

	return infer_fail(m->failure, GRPC_RESOURCE_EXHAUSTED,
		"no room for %" PRIu64 " bytes of tensor data in the input arena within %" PRIu64
		" ms: [memory] input_arena_bytes is %" PRIu64
		", [limits] arena_wait_ms is %" PRIu64,
		length, wait_ms, arena_bytes(m), wait_ms);
}

/* Of a compressed message, or one that has more tensors than it announced: it would hold room that
 * others wait for while it waits for theirs. */
static int fail_holding(struct infer_room *m, uint64_t length)
{
	return infer_fail(m->failure, GRPC_RESOURCE_EXHAUSTED,
		"no room in the input arena for one more tensor of %" PRIu64
		" bytes: [memory] input_arena_bytes is %" PRIu64
		" (a message that is not compressed waits for room)",
		length, arena_bytes(m));
}

/* INFER_E_WAITING: not now. Who holds a lease must not wait, not even for pages. */
static int get_lease(struct infer_room *m, uint64_t length, bool at_once, struct lease **ret_lease)
{
	struct lease_desk *k = dispatch_desk(m->services->dispatch);
	int e = at_once ? lease_new_at_once(ret_lease, k, m->client, length, m->numa_node)
			: lease_new(ret_lease, k, m->client, length, m->numa_node);

	switch (e) {
	case 0:
		return 0;
	case LEASE_E_FULL:
	case LEASE_E_SHARE:
		return INFER_E_WAITING;
	case LEASE_E_LARGE:
		return fail_large(m, length);
	default:
		return infer_fail_memory(m->failure);
	}
}

static int try_lease(struct infer_room *m, uint64_t length)
{
	struct lease *l = NULL;
	int e = get_lease(m, length, m->lease != NULL, &l);

	if (e)
		return e;
	lease_unref(m->lease); /* pieces that were cut from it have their own references */
	m->lease = l;
	m->used = 0;
	return 0;
}

/* --- waiting for one -------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *t)
{
	struct infer_wait *w = t->data;
	struct infer_room *m = w->room;

	fail_waited(m, w->length);
	end_wait(m);
	m->events->on_expired(m->data);
}

static void on_space(struct lease_waiter *waiter)
{
	struct infer_wait *w = container_of(waiter, struct infer_wait, waiter);
	struct infer_room *m = w->room;
	int e = try_lease(m, w->length);

	if (e == INFER_E_WAITING) {
		lease_wait(dispatch_desk(m->services->dispatch), waiter, m->client, w->length,
			m->numa_node, on_space);
		return;
	}
	end_wait(m);
	if (e) {
		m->events->on_expired(m->data);
		return;
	}
	m->ready = true;
	m->events->on_room(m->data);
}

static int begin_wait(struct infer_room *m, uint64_t length)
{
	struct services *x = m->services;
	struct infer_wait *w = calloc(1, sizeof(*w));
	int e;

	if (!w)
		return infer_fail_memory(m->failure);
	w->room = m;
	w->length = length;
	list_init(&w->waiter.node);
	e = uv_timer_init(x->loop, &w->timer);
	assert(e == 0);
	w->timer.data = w;
	e = uv_timer_start(&w->timer, on_timer, x->settings->arena_wait_ms, 0);
	assert(e == 0);
	(void)e;
	lease_wait(
		dispatch_desk(x->dispatch), &w->waiter, m->client, length, m->numa_node, on_space);
	m->wait = w;
	return INFER_E_WAITING;
}

/* --- pieces ----------------------------------------------------------------------------------- */

static uint64_t align(uint64_t n)
{
	return (n + SEGMENT_ALIGN - 1) & ~(uint64_t)(SEGMENT_ALIGN - 1);
}

uint64_t infer_room_total(uint64_t length, uint64_t left, uint32_t n)
{
	/* An empty piece takes no room, so others have a byte at least; each may begin later. */
	uint64_t n_others = (left - length) / (PIECE_OVERHEAD + 1);

	if (n_others > n - 1)
		n_others = n - 1;
	return left + n_others * (SEGMENT_ALIGN - 1);
}

static bool fits(const struct infer_room *m, uint64_t length)
{
	return m->lease && lease_holds(m->lease, align(m->used), length);
}

static int find_room(struct infer_room *m, uint64_t length, uint64_t total)
{
	uint64_t wanted = total == UINT64_MAX ? length : total;
	int e;

	if (length == 0 || m->ready || (total != UINT64_MAX && fits(m, length)))
		return 0;
	e = try_lease(m, wanted);
	if (e != INFER_E_WAITING)
		return e;
	return m->lease ? fail_holding(m, length) : begin_wait(m, wanted);
}

static int grow(struct infer_room *m)
{
	bool first = m->pieces == m->first;
	size_t cap = 4 * m->cap;
	struct infer_piece *p = realloc(first ? NULL : m->pieces, cap * sizeof(*p));

	if (!p)
		return infer_fail_memory(m->failure);
	if (first)
		memcpy(p, m->first, m->n_pieces * sizeof(*p));
	m->pieces = p;
	m->cap = cap;
	return 0;
}

int infer_room_cut(struct infer_room *m, uint64_t length, uint64_t total, uint8_t **ret_data)
{
	struct infer_piece *p;
	uint64_t at;
	int e = 0;

	if (m->wait)
		return INFER_E_WAITING;
	if (m->n_pieces == m->cap)
		e = grow(m);
	if (!e)
		e = find_room(m, length, total);
	if (e)
		return e;
	p = &m->pieces[m->n_pieces++];
	*p = (struct infer_piece){.length = length};
	*ret_data = NULL;
	if (length == 0)
		return 0;
	assert(fits(m, length));
	at = align(m->used);
	m->used = at + length;
	m->ready = false;
	p->lease = lease_ref(m->lease);
	p->offset = at;
	*ret_data = lease_at(m->lease, at);
	return 0;
}

int infer_room_take(struct infer_room *m, size_t i, struct infer_piece *ret_piece)
{
	struct infer_piece taken = {0};
	int e;

	if (i < m->n_pieces) {
		taken = m->pieces[i];
		m->pieces[i].lease = NULL;
	}
	if (!taken.lease && !m->lease) {
		e = try_lease(m, 0);
		if (e == INFER_E_WAITING)
			return fail_waited(m, 0);
		if (e)
			return e;
	}
	if (!taken.lease)
		taken.lease = lease_ref(m->lease);
	*ret_piece = taken;
	return 0;
}

int infer_room_make(struct infer_room *m, uint64_t length, struct infer_piece *ret_piece)
{
	struct lease *l = NULL;
	int e = get_lease(m, length, true, &l);

	if (e == INFER_E_WAITING)
		return infer_fail(m->failure, GRPC_RESOURCE_EXHAUSTED,
			"no room for %" PRIu64
			" bytes of tensor data in the input arena: [memory] input_arena_bytes is "
			"%" PRIu64,
			length, arena_bytes(m));
	if (!e)
		*ret_piece = (struct infer_piece){.lease = l, .length = length};
	return e;
}
