/*
 * handoff.c: the door: wires listener, guests, users and entries together.
 *
 * on_drained is called from handoff_flush(), once nothing is left: no guest, no allocation, no region
 * that a worker still maps. Disposals, and memory that clients still have, are not waited for: they
 * decide how long that takes. Daemon process, loop thread.
 */
#include "handoff/handoff.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/seqpacket.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"
#include "handoff/serve.h"

static bool on_accept(void *data, int fd)
{
	struct handoff *h = data;

	if (guest_open(h, fd, false) == 0)
		return true;
	acceptor_discard(&h->listener.acceptor, fd);
	return false;
}

int handoff_new(struct handoff **ret_handoff, uv_loop_t *loop,
	const struct handoff_settings *settings, struct dispatch *dispatch,
	const struct handoff_events *events, void *data)
{
	struct handoff *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->settings = settings;
	h->dispatch = dispatch;
	h->events = events;
	h->data = data;
	h->serve = serve_message;
	list_init(&h->guests);
	list_init(&h->dirty);
	users_init(&h->users, settings);
	entry_table_init(&h->entries);
	allocation_desk_init(&h->allocations);
	disposal_desk_init(&h->disposals);
	unread_desk_init(&h->unread);
	lent_desk_init(&h->lent, dispatch);
	h->record = malloc(HANDOFF_MESSAGE_MAX);
	if (!h->record || handoff_scratch_new(&h->scratch)) {
		handoff_free(h);
		return -ENOMEM;
	}
	*ret_handoff = h;
	return 0;
}

void handoff_set_tracer(struct handoff *h, struct tracer *t)
{
	h->tracer = t;
}

int handoff_listen(struct handoff *h, char *text, size_t cap)
{
	if (!h->settings->socket)
		return 0;
	return handoff_listener_open(&h->listener, h->loop, h->settings, on_accept, h, text, cap);
}

int handoff_socket(const struct handoff *h)
{
	return h->listener.open ? h->listener.acceptor.fd : -1;
}

void handoff_let_go(struct handoff *h)
{
	if (h->listener.open)
		handoff_listener_let_go(&h->listener);
}

void handoff_take_over(struct handoff *h)
{
	if (h->listener.open)
		handoff_listener_take_over(&h->listener, h->settings);
}

int handoff_invite(struct handoff *h, int *ret_fd)
{
	_cleanup_(close_fd) int theirs = -1;
	int pair[2];
	int r = h->dismissed ? -ESHUTDOWN : seqpacket_pair(pair);

	if (r)
		return r;
	theirs = pair[1];
	r = seqpacket_set_send_buffer(theirs, HANDOFF_MESSAGE_MAX);
	if (r) {
		close_fd(&pair[0]);
		return r;
	}
	r = guest_open(h, pair[0], true);
	if (r)
		close_fd(&pair[0]);
	else
		*ret_fd = steal_fd(&theirs);
	return r == USER_E_LIMIT ? -EUSERS : r;
}

static void let_leave(struct handoff *h, bool invited)
{
	list_for_each (&h->guests, node) {
		struct guest *p = list_entry(node, struct guest, node);

		if (p->invited == invited)
			guest_leave(p);
	}
}

static void drain(struct handoff *h)
{
	h->draining = true;
	handoff_listener_close(&h->listener);
	let_leave(h, false);
}

void handoff_drain(struct handoff *h)
{
	/* What they could send is served, too. */
	handoff_listener_take_waiting(&h->listener);
	drain(h);
}

void handoff_dismiss(struct handoff *h)
{
	h->may_dismiss = true;
}

/* Once nobody else is there, whose requests may still need them. */
static void dismiss(struct handoff *h)
{
	if (!h->may_dismiss || h->dismissed || h->n_guests > h->n_invited)
		return;
	h->dismissed = true;
	let_leave(h, true);
}

void handoff_kill(struct handoff *h)
{
	drain(h);
	h->dismissed = true;
	while (!list_empty(&h->guests))
		guest_close(list_entry(h->guests.next, struct guest, node));
}

static bool drained(const struct handoff *h)
{
	return h->draining && h->n_guests == 0 && h->entries.n == 0 && h->allocations.n == 0;
}

void handoff_flush(struct handoff *h)
{
	struct list *node;

	dismiss(h);
	while ((node = list_first(&h->dirty)))
		guest_flush(list_entry(node, struct guest, dirty_node));
	unread_sweep(&h->unread, &h->disposals, clock_ns());
	lent_sweep(&h->lent, clock_ns());
	disposal_desk_sweep(&h->disposals);
	if (h->told_drained || !drained(h))
		return;
	h->told_drained = true;
	h->events->on_drained(h->data);
}

static void release(void *data)
{
	struct handoff *h = data;

	free(h->record);
	handoff_scratch_free(h->scratch);
	free(h);
}

struct handoff *handoff_free(struct handoff *h)
{
	if (!h)
		return NULL;
	assert(h->n_guests == 0 && h->allocations.n == 0);
	handoff_listener_close(&h->listener);
	entry_table_deinit(&h->entries);
	unread_desk_deinit(&h->unread, &h->disposals);
	disposal_desk_deinit(&h->disposals);
	lent_desk_deinit(&h->lent);
	users_deinit(&h->users);
	if (handoff_listener_closed(&h->listener))
		release(h);
	else
		h->listener.on_closed = release;
	return NULL;
}

struct handoff_counters handoff_counters(const struct handoff *h)
{
	return (struct handoff_counters){
		.connections = h->users.connections,
		.regions = h->users.regions - h->lent.n,
		.region_bytes = h->users.bytes,
		.requests_total = h->requests_total,
		.tensor_bytes_handed = h->tensor_bytes_handed,
	};
}

void handoff_count_tensor(struct handoff *h, uint64_t bytes)
{
	h->tensor_bytes_handed += bytes;
}

/* The loopback is also where proxies, forwards and containers come from: other users, and other hosts. */
static bool may_use(const struct handoff *h, const struct peer *asker, const struct user *owner)
{
	return asker->uid == (int64_t)owner->uid ||
	       (asker->loopback && h->settings->tokens_over_tcp);
}

int handoff_find(
	struct handoff *h, const struct peer *asker, const char *token, struct region **ret_region)
{
	uint8_t bytes[HANDOFF_TOKEN_BYTES];
	struct entry *e;

	if (entry_parse_token(token, bytes))
		return -ENOENT;
	e = entry_find(&h->entries, bytes);
	if (!e || !may_use(h, asker, e->user))
		return -ENOENT;
	*ret_region = region_ref(e->region);
	return 0;
}
