/*
 * transport.c: the door: listeners, the list of sessions, and what they share.
 *
 * Invariants: on_drained comes once, from the loop, when listening has stopped and no session's
 * memory is left; sessions that may have output are on t->dirty. Daemon process, loop thread.
 */
#include "http2/transport.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "http2/listener.h"
#include "http2/session.h"

#define READ_BUFFER_BYTES ((size_t)256 << 10)
/* Flushing wakes producers, which makes sessions dirty again; then the rest of the loop has its
 * turn. */
#define FLUSH_ROUNDS 2u

/* Connections that are kept for Unix sockets: a part of all, and so many at most. */
#define KEPT_PART 16u
#define KEPT_MAX  16u

struct listener_slot {
	struct listener listener;
	struct listener_slot *next;
};

/* --- end -------------------------------------------------------------------------------------- */

static void on_drained_due(struct deadline *d)
{
	struct transport *t = container_of(d, struct transport, drained);

	t->told = true;
	t->events->on_drained(t->data);
}

static void check_drained(struct transport *t)
{
	if (!t->ending || t->told || !list_empty(&t->sessions))
		return;
	/* Cannot fail: the heap has room for a few from the start, and hardly any is set now. */
	if (deadline_set(&t->deadlines, &t->drained, clock_ns()))
		log_error(
			"cannot tell that the transport is drained", "error=%s", err_str(-ENOMEM));
}

static void on_listener_closed(struct listener *l)
{
	free(container_of(l, struct listener_slot, listener));
}

void transport_stop_listening(struct transport *t)
{
	while (t->listeners) {
		struct listener_slot *slot = t->listeners;

		t->listeners = slot->next;
		listener_close(&slot->listener, on_listener_closed);
	}
}

static void begin_end(struct transport *t)
{
	t->ending = true;
	t->now_ns = clock_ns();
	transport_stop_listening(t);
}

void transport_drain(struct transport *t)
{
	begin_end(t);
	list_for_each (&t->sessions, it)
		session_shutdown(session_of(it), "draining");
	check_drained(t);
}

void transport_kill(struct transport *t)
{
	begin_end(t);
	list_for_each (&t->sessions, it)
		session_kill(session_of(it));
	check_drained(t);
}

/* --- begin ------------------------------------------------------------------------------------ */

static void on_flush_again(struct deadline *d)
{
	transport_flush(container_of(d, struct transport, again));
}

static int set_up(struct transport *t)
{
	int r = deadlines_init(&t->deadlines, t->loop);

	if (!r)
		r = session_setup_new(&t->setup, t->settings);
	if (r)
		return r;
	t->gather = calloc(1, sizeof(*t->gather));
	conn_shared_init(&t->conns, malloc(READ_BUFFER_BYTES), READ_BUFFER_BYTES);
	return t->gather && t->conns.read_buffer ? 0 : -ENOMEM;
}

int transport_new(struct transport **ret_transport, uv_loop_t *loop,
	const struct http2_settings *settings, const struct transport_events *events, void *data)
{
	_cleanup_(transport_freep) struct transport *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->data = data;
	t->settings = settings;
	t->events = events;
	t->loop = loop;
	t->now_ns = clock_ns();
	t->drained.on_due = on_drained_due;
	t->again.on_due = on_flush_again;
	t->on_session_gone = check_drained;
	list_init(&t->sessions);
	list_init(&t->dirty);
	rights_desk_init(&t->rights);
	blocks_init(&t->blocks);
	r = set_up(t);
	if (!r)
		*ret_transport = steal_ptr(t);
	return r;
}

struct transport *transport_free(struct transport *t)
{
	if (!t)
		return NULL;
	assert(list_empty(&t->sessions));
	assert(transport_held_bytes(t) == 0);
	transport_stop_listening(t);
	deadline_clear(&t->deadlines, &t->again);
	deadline_clear(&t->deadlines, &t->drained);
	deadlines_close(&t->deadlines);
	session_setup_free(t->setup);
	free(t->conns.read_buffer);
	free(t->gather);
	rights_desk_deinit(&t->rights);
	blocks_deinit(&t->blocks);
	free(t);
	return NULL;
}

/* --- listening -------------------------------------------------------------------------------- */

/* The last few are for Unix sockets: who comes from far must not lock the administrator out. */
static uint32_t connections_for(const struct transport *t, enum endpoint_kind kind)
{
	uint32_t max = t->settings->max_connections;
	uint32_t kept = max / KEPT_PART < KEPT_MAX ? max / KEPT_PART : KEPT_MAX;

	return kind == ENDPOINT_UNIX ? max : max - kept;
}

bool transport_adopt(struct transport *t, int fd, const struct endpoint *endpoint)
{
	int r;

	if (t->n_connections >= connections_for(t, endpoint->kind)) {
		close(fd);
		return false;
	}
	r = session_open(t, fd, endpoint);
	if (r)
		log_debug("connection failed", "error=%s", err_str(r));
	return r == 0;
}

/* What their connections have brought, and is not closed yet, counts as they did. */
static bool has_room(void *data, const struct endpoint *endpoint)
{
	struct transport *t = data;

	return t->n_connections + rights_desk_running(&t->rights) <
	       connections_for(t, endpoint->kind);
}

static bool on_accept(void *data, int fd, const struct endpoint *endpoint)
{
	return transport_adopt(data, fd, endpoint);
}

static struct listener_slot **last_slot(struct transport *t)
{
	struct listener_slot **at = &t->listeners;

	while (*at)
		at = &(*at)->next;
	return at;
}

static int listen_on(struct transport *t, const struct endpoint *endpoint,
	const struct address *address, char *text, size_t cap)
{
	_cleanup_(freep) struct listener_slot *slot = calloc(1, sizeof(*slot));
	int r;

	if (!slot) {
		snprintf(text, cap, "out of memory");
		return -ENOMEM;
	}
	slot->listener.on_accept = on_accept;
	slot->listener.has_room = has_room;
	slot->listener.data = t;
	slot->listener.given = t->settings->given;
	r = listener_open(&slot->listener, t->loop, endpoint, address, text, cap);
	if (r)
		return r;
	if (slot->listener.rights_come)
		t->conns.rights = &t->rights;
	*last_slot(t) = steal_ptr(slot);
	return 0;
}

/* One text may stand for several addresses (a name, "*"): those of a family that this machine lacks
 * are left out as long as one remains, and all get the port that the first one got. */
int transport_listen(struct transport *t, const struct endpoint *endpoint, char *text, size_t cap)
{
	struct address addresses[ADDRESSES_MAX];
	size_t n;
	size_t n_open = 0;
	uint16_t port = 0;
	int r = address_parse(endpoint->listen, addresses, &n, text, cap);

	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct listener_slot **slot = last_slot(t);

		if (port)
			address_set_port(&addresses[i], port);
		r = listen_on(t, endpoint, &addresses[i], text, cap);
		if (r && r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
			return r;
		if (r)
			continue;
		n_open++;
		port = address_port(&(*slot)->listener.address);
	}
	return n_open ? 0 : r;
}

const char *transport_address(const struct transport *t, size_t i)
{
	const struct listener_slot *slot = t->listeners;

	while (slot && i--)
		slot = slot->next;
	return slot ? slot->listener.text : NULL;
}

size_t transport_sockets(const struct transport *t, int *fds, size_t cap)
{
	size_t n = 0;

	for (const struct listener_slot *slot = t->listeners; slot && n < cap; slot = slot->next)
		fds[n++] = slot->listener.acceptor.fd;
	return n;
}

void transport_let_go(struct transport *t)
{
	for (struct listener_slot *slot = t->listeners; slot; slot = slot->next)
		listener_let_go(&slot->listener);
}

void transport_take_over(struct transport *t)
{
	for (struct listener_slot *slot = t->listeners; slot; slot = slot->next)
		listener_take_over(&slot->listener);
}

/* --- in between ------------------------------------------------------------------------------- */

static void flush_round(struct transport *t)
{
	struct list round;
	struct list *node;

	list_init(&round);
	while ((node = list_first(&t->dirty))) {
		list_remove(node);
		list_push_back(&round, node);
	}
	while ((node = list_first(&round)))
		session_flush(node);
}

void transport_flush(struct transport *t)
{
	bool over = conn_shared_turn(&t->conns);

	for (unsigned i = 0; i < FLUSH_ROUNDS && !list_empty(&t->dirty); i++)
		flush_round(t);
	/* Before polling the loop must know that there is more to do. */
	over = over && list_empty(&t->dirty);
	if (!over && deadline_set(&t->deadlines, &t->again, clock_ns()))
		log_debug("flush is late", "error=%s", err_str(-ENOMEM));
}

uint32_t transport_n_connections(const struct transport *t)
{
	return t->n_connections;
}
