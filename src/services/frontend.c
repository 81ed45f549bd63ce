/*
 * frontend.c: the door: listeners, the list of sessions, and what they share.
 *
 *   frontend_new -> frontend_listen -> (frontend_drain | frontend_kill) -> on_drained -> frontend_free
 *
 * Invariants: on_drained comes once, from the loop, when listening has stopped and no session's
 * memory is left; sessions that may have output are on transport.dirty. Daemon process, loop thread.
 */
#include "services/frontend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "grpc/call_private.h"
#include "http2/listener.h"
#include "http2/session.h"
#include "http2/transport.h"
#include "services/frontend_private.h"
#include "services/health_service.h"
#include "services/tables.h"

#define READ_BUFFER_BYTES ((size_t)256 << 10)
/* Flushing wakes producers, which makes sessions dirty again; then the rest of the loop has its
 * turn. */
#define FLUSH_ROUNDS 2u

struct listener_slot {
	struct listener listener;
	struct listener_slot *next;
};

struct frontend {
	struct transport transport;
	struct calls calls;
	struct service_context context;
	struct service_index *index;	      /* own */
	struct session_setup *setup;	      /* own */
	struct listener_slot *listeners;      /* own, in the order of the settings */
	const struct frontend_events *events; /* borrow */
	void *data;
	struct deadline drained; /* tells on_drained from the loop */
	struct deadline again;	 /* the flush was cut short */
	bool ending;
	bool told;
};

/* --- end -------------------------------------------------------------------------------------- */

static void on_drained_due(struct deadline *d)
{
	struct frontend *f = container_of(d, struct frontend, drained);

	f->told = true;
	f->events->on_drained(f->data);
}

static void check_drained(struct frontend *f)
{
	if (!f->ending || f->told || !list_empty(&f->transport.sessions))
		return;
	/* Cannot fail: the heap has room for a few from the start, and hardly any is set now. */
	if (deadline_set(&f->transport.deadlines, &f->drained, clock_ns()))
		log_error("cannot tell that the frontend is drained", "error=%s", err_str(-ENOMEM));
}

static void on_session_gone(struct transport *t)
{
	check_drained(container_of(t, struct frontend, transport));
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	free(container_of(l, struct listener_slot, listener));
}

static void stop_listening(struct frontend *f)
{
	while (f->listeners) {
		struct listener_slot *slot = f->listeners;

		f->listeners = slot->next;
		listener_close(&slot->listener, on_listener_closed);
	}
}

static void begin_end(struct frontend *f)
{
	f->ending = true;
	f->context.draining = true;
	health_set_draining(f->context.health);
	stop_listening(f);
}

void frontend_drain(struct frontend *f)
{
	begin_end(f);
	f->transport.now_ns = clock_ns();
	list_for_each (&f->transport.sessions, it)
		session_shutdown(session_of(it), "draining");
	check_drained(f);
}

void frontend_kill(struct frontend *f)
{
	begin_end(f);
	f->transport.now_ns = clock_ns();
	list_for_each (&f->transport.sessions, it)
		session_kill(session_of(it));
	check_drained(f);
}

/* --- begin ------------------------------------------------------------------------------------ */

static enum codec reply_codec(const struct frontend_settings *settings)
{
	enum codec c;

	if (!strcmp(settings->compression, "none"))
		return CODEC_IDENTITY;
	c = codec_parse(settings->compression, strlen(settings->compression));
	return c;
}

static int set_up_transport(struct frontend *f, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch)
{
	struct transport *t = &f->transport;

	t->loop = loop;
	t->settings = settings;
	t->dispatch = dispatch;
	t->stream_events = &call_events;
	t->setup = f->setup;
	t->calls = &f->calls;
	t->on_session_gone = on_session_gone;
	t->now_ns = clock_ns();
	t->batch = calloc(1, sizeof(*t->batch));
	t->conns.read_buffer = malloc(READ_BUFFER_BYTES);
	t->conns.n_read_buffer = READ_BUFFER_BYTES;
	f->calls.context = &f->context;
	f->calls.index = f->index;
	f->calls.inflate_buffer = malloc(CALL_INFLATE_BYTES);
	f->calls.reply_codec = reply_codec(settings);
	return t->batch && t->conns.read_buffer && f->calls.inflate_buffer ? 0 : -ENOMEM;
}

static int set_up_services(struct frontend *f)
{
	f->context.settings = f->transport.settings;
	f->context.dispatch = f->transport.dispatch;
	f->context.counters = &f->transport.counters;
	f->context.started_ns = f->transport.now_ns;
	f->context.loop = f->transport.loop;
	return health_new(&f->context.health, &f->context);
}

static void on_flush_again(struct deadline *d)
{
	frontend_flush(container_of(d, struct frontend, again));
}

DEFINE_CLEANUP(struct frontend *, frontend_free)

int frontend_new_with(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data, const struct method *const *tables)
{
	_cleanup_(frontend_freep) struct frontend *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->events = events;
	f->data = data;
	f->drained.on_due = on_drained_due;
	f->again.on_due = on_flush_again;
	list_init(&f->transport.sessions);
	list_init(&f->transport.dirty);
	blocks_init(&f->transport.blocks);
	r = deadlines_init(&f->transport.deadlines, loop);
	if (!r)
		r = session_setup_new(&f->setup, settings);
	if (!r)
		r = service_index_new(&f->index, tables);
	if (!r)
		r = set_up_transport(f, loop, settings, dispatch);
	if (!r && f->calls.reply_codec == CODEC_UNKNOWN)
		r = -EINVAL;
	if (!r)
		r = set_up_services(f);
	if (!r)
		*ret_frontend = steal_ptr(f);
	return r;
}

int frontend_new(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data)
{
	return frontend_new_with(
		ret_frontend, loop, settings, dispatch, events, data, service_tables());
}

struct frontend *frontend_free(struct frontend *f)
{
	if (!f)
		return NULL;
	assert(list_empty(&f->transport.sessions));
	stop_listening(f);
	deadline_clear(&f->transport.deadlines, &f->again);
	deadline_clear(&f->transport.deadlines, &f->drained);
	deadlines_close(&f->transport.deadlines);
	health_free(f->context.health);
	service_index_free(f->index);
	session_setup_free(f->setup);
	inflater_free(f->calls.spare_inflater);
	free(f->calls.inflate_buffer);
	free(f->transport.conns.read_buffer);
	free(f->transport.batch);
	blocks_deinit(&f->transport.blocks);
	free(f);
	return NULL;
}

/* --- listening -------------------------------------------------------------------------------- */

bool frontend_adopt(struct frontend *f, int fd, bool is_unix)
{
	int r;

	if (f->transport.counters.connections >= f->transport.settings->max_connections) {
		close(fd);
		return false;
	}
	r = session_open(&f->transport, fd, is_unix);
	if (r)
		log_debug("connection failed", "error=%s", err_str(r));
	return r == 0;
}

static bool on_accept(void *data, int fd, bool is_unix)
{
	return frontend_adopt(data, fd, is_unix);
}

static struct listener_slot **last_slot(struct frontend *f)
{
	struct listener_slot **at = &f->listeners;

	while (*at)
		at = &(*at)->next;
	return at;
}

static int listen_on(struct frontend *f, const struct address *address, char *text, size_t cap)
{
	const struct frontend_settings *s = f->transport.settings;
	const struct listener_options options = {s->unix_mode, s->unix_group};
	_cleanup_(freep) struct listener_slot *slot = calloc(1, sizeof(*slot));
	int r;

	if (!slot) {
		snprintf(text, cap, "out of memory");
		return -ENOMEM;
	}
	slot->listener.on_accept = on_accept;
	slot->listener.data = f;
	r = listener_open(&slot->listener, f->transport.loop, &f->transport.deadlines, address,
		&options, text, cap);
	if (!r)
		*last_slot(f) = steal_ptr(slot);
	return r;
}

/* One text may stand for several addresses (a name, "*"): those of a family that this machine lacks
 * are left out as long as one remains, and all get the port that the first one got. */
static int listen_all(struct frontend *f, const char *listen, char *text, size_t cap)
{
	struct address addresses[ADDRESSES_MAX];
	size_t n;
	size_t n_open = 0;
	uint16_t port = 0;
	int r = address_parse(listen, addresses, &n, text, cap);

	if (r)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct listener_slot **slot = last_slot(f);

		if (port)
			address_set_port(&addresses[i], port);
		r = listen_on(f, &addresses[i], text, cap);
		if (r && r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
			return r;
		if (r)
			continue;
		n_open++;
		port = address_port(&(*slot)->listener.address);
	}
	return n_open ? 0 : r;
}

int frontend_listen(struct frontend *f, char *text, size_t cap)
{
	for (const char *const *listen = f->transport.settings->listen; *listen; listen++) {
		int r = listen_all(f, *listen, text, cap);

		if (r) {
			stop_listening(f);
			return r;
		}
	}
	return 0;
}

const char *frontend_address(const struct frontend *f, size_t i)
{
	const struct listener_slot *slot = f->listeners;

	while (slot && i--)
		slot = slot->next;
	return slot ? slot->listener.text : NULL;
}

/* --- in between ------------------------------------------------------------------------------- */

void frontend_set_serving(struct frontend *f, bool serving)
{
	health_set_serving(f->context.health, serving);
}

void frontend_set_handoff(struct frontend *f, struct handoff *h)
{
	f->context.handoff = h;
}

void frontend_model_changed(struct frontend *f, struct version *m)
{
	health_model_changed(f->context.health, m);
}

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

void frontend_flush(struct frontend *f)
{
	struct transport *t = &f->transport;

	t->conns.turn++;
	for (unsigned i = 0; i < FLUSH_ROUNDS && !list_empty(&t->dirty); i++)
		flush_round(t);
	/* Before polling the loop must know that there is more to do. */
	if (!list_empty(&t->dirty) && deadline_set(&t->deadlines, &f->again, clock_ns()))
		log_debug("flush is late", "error=%s", err_str(-ENOMEM));
}

struct frontend_counters frontend_counters(const struct frontend *f)
{
	return f->transport.counters;
}
