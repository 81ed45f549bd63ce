/*
 * frontend.c: the door: ties endpoints to services, and services to dispatch.
 *
 *   endpoints > transport (src/http2) > calls (src/grpc) > services > dispatch
 *
 * A connection is one client of dispatch, made at its first call. Daemon process, loop thread.
 */
#include "services/frontend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/client.h"
#include "grpc/calls.h"
#include "services/frontend_private.h"
#include "services/health.h"
#include "services/services.h"
#include "services/tables.h"

struct frontend {
	struct services services;
	struct calls *calls;			  /* own */
	struct service_index *index;		  /* own; of all services */
	struct endpoint *endpoints;		  /* own; outlive every connection */
	const struct frontend_settings *settings; /* borrow */
	const struct frontend_events *events;	  /* borrow */
	void *data;
};

/* --- what calls tell -------------------------------------------------------------------------- */

static int on_connection(void *data, void **ret_connection)
{
	struct services *x = data;
	struct client *client = NULL;
	int r = client_new(&client, dispatch_tally(x->dispatch));

	if (!r)
		*ret_connection = client;
	return r;
}

static void on_connection_gone(void *data, void *connection)
{
	model_handles_forget(&((struct services *)data)->handles, connection);
	client_unref(connection);
}

static void on_drained(void *data)
{
	struct frontend *f = container_of((struct services *)data, struct frontend, services);

	/* Nobody names any more: what they hold of dispatch is to go ahead of that. */
	key_regions_deinit(&f->services.keys);
	f->events->on_drained(f->data);
}

static const struct calls_events calls_events = {
	.on_connection = on_connection,
	.on_connection_gone = on_connection_gone,
	.on_drained = on_drained,
};

/* --- begin ------------------------------------------------------------------------------------ */

static int set_up_services(struct frontend *f, uv_loop_t *loop, struct dispatch *dispatch,
	const struct service *const *list)
{
	int r;

	f->services = (struct services){
		.settings = &f->settings->services,
		.list = list,
		.dispatch = dispatch,
		.calls = f->calls,
		.loop = loop,
		.started_ns = clock_ns(),
	};
	key_regions_init(&f->services.keys, f->settings->services.client_shm,
		f->settings->services.client_cuda_shm, f->settings->services.max_shm_regions);
	key_mover_init(&f->services.mover, loop);
	r = model_handles_init(&f->services.handles, loop, &f->settings->services.handles);
	return r ? r : health_new(&f->services.health, &f->services);
}

int frontend_new_with(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data, const struct service *const *list)
{
	_cleanup_(frontend_freep) struct frontend *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->settings = settings;
	f->events = events;
	f->data = data;
	r = service_index_new(&f->index, list);
	if (!r)
		r = calls_new(&f->calls, loop, &settings->http2, &settings->grpc, &calls_events,
			&f->services);
	if (!r)
		r = set_up_services(f, loop, dispatch, list);
	if (!r)
		*ret_frontend = steal_ptr(f);
	return r;
}

int frontend_new(struct frontend **ret_frontend, uv_loop_t *loop,
	const struct frontend_settings *settings, struct dispatch *dispatch,
	const struct frontend_events *events, void *data)
{
	return frontend_new_with(
		ret_frontend, loop, settings, dispatch, events, data, service_list());
}

/* The last of its handles. */
static void on_mover_closed(struct key_mover *k)
{
	free(container_of(k, struct frontend, services.mover));
}

struct frontend *frontend_free(struct frontend *f)
{
	if (!f)
		return NULL;
	calls_free(f->calls);
	if (f->services.loop) {
		model_handles_close(&f->services.handles);
		key_regions_deinit(&f->services.keys);
	}
	health_free(f->services.health);
	service_index_free(f->index);
	free(f->endpoints);
	if (f->services.loop)
		key_mover_close(&f->services.mover, on_mover_closed);
	else
		free(f);
	return NULL;
}

/* --- listening -------------------------------------------------------------------------------- */

static size_t n_texts(const char *const *listen)
{
	size_t n = 0;

	while (listen[n])
		n++;
	return n;
}

/* Every service is offered wherever we listen. */
static struct endpoint make_endpoint(const struct frontend *f, const char *listen)
{
	return (struct endpoint){
		.kind = address_text_is_unix(listen) ? ENDPOINT_UNIX : ENDPOINT_TCP,
		.listen = listen,
		.unix_mode = f->settings->unix_mode,
		.unix_group = f->settings->unix_group,
		.offer = f->index,
	};
}

int frontend_listen(struct frontend *f, char *text, size_t cap)
{
	const char *const *listen = f->settings->listen;
	size_t n = n_texts(listen);
	int r = 0;

	assert(!f->endpoints);
	f->endpoints = calloc(n + 1, sizeof(*f->endpoints));
	if (!f->endpoints) {
		snprintf(text, cap, "out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < n && !r; i++) {
		f->endpoints[i] = make_endpoint(f, listen[i]);
		r = transport_listen(calls_transport(f->calls), &f->endpoints[i], text, cap);
	}
	if (r)
		transport_stop_listening(calls_transport(f->calls));
	return r;
}

const char *frontend_address(const struct frontend *f, size_t i)
{
	return transport_address(calls_transport(f->calls), i);
}

size_t frontend_sockets(const struct frontend *f, int *fds, size_t cap)
{
	return transport_sockets(calls_transport(f->calls), fds, cap);
}

void frontend_let_go(struct frontend *f)
{
	transport_let_go(calls_transport(f->calls));
}

void frontend_take_over(struct frontend *f)
{
	transport_take_over(calls_transport(f->calls));
}

/* --- in between ------------------------------------------------------------------------------- */

void frontend_set_serving(struct frontend *f, bool serving)
{
	health_set_serving(f->services.health, serving);
}

void frontend_set_handoff(struct frontend *f, struct handoff *h)
{
	f->services.handoff = h;
}

void frontend_set_spool(struct frontend *f, struct spool *s)
{
	f->services.spool = s;
}

void frontend_set_lifecycle(struct frontend *f, struct lifecycle *l)
{
	f->services.lifecycle = f->services.handles.lifecycle = l;
}

void frontend_set_tracer(struct frontend *f, struct tracer *t)
{
	f->services.tracer = t;
}

void frontend_set_polls(struct frontend *f, const struct busy_poll *polls, size_t n)
{
	f->services.polls = polls;
	f->services.n_polls = n;
}

void frontend_set_log(struct frontend *f, struct log_ring *log)
{
	f->services.log = log;
}

void frontend_model_changed(struct frontend *f, struct version *m)
{
	health_model_changed(f->services.health, m);
}

bool frontend_ready(struct frontend *f)
{
	return health_status(f->services.health, "") == HEALTH_SERVING;
}

bool frontend_draining(const struct frontend *f)
{
	return f->services.draining;
}

void frontend_flush(struct frontend *f)
{
	health_flush(f->services.health);
	transport_flush(calls_transport(f->calls));
}

struct frontend_counters frontend_counters(const struct frontend *f)
{
	struct calls_counters calls = calls_counters(f->calls);

	return (struct frontend_counters){
		.connections = frontend_n_connections(f),
		.calls = calls.open,
		.calls_total = calls.total,
		.held_bytes = calls.held_bytes,
		.compressing_bytes = calls.compressing_bytes,
		.tensor_bytes_received = f->services.tensor_bytes_received,
		.tensor_bytes_copied_in = f->services.tensor_bytes_copied_in,
		.tensor_bytes_sent = calls.bulk_bytes_sent,
		.tensor_bytes_copied_out = calls.bulk_bytes_copied,
	};
}

uint32_t frontend_n_connections(const struct frontend *f)
{
	return transport_n_connections(calls_transport(f->calls));
}

uint32_t frontend_n_calls(const struct frontend *f)
{
	return calls_counters(f->calls).open;
}

/* --- end -------------------------------------------------------------------------------------- */

static void begin_end(struct frontend *f)
{
	f->services.draining = true;
	health_set_draining(f->services.health);
}

void frontend_drain(struct frontend *f)
{
	begin_end(f);
	calls_drain(f->calls);
}

void frontend_kill(struct frontend *f)
{
	begin_end(f);
	calls_kill(f->calls);
}
