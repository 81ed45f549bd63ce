/*
 * health_service.c: grpc.health.v1.Health: messages from and to health.h.
 *
 * A watcher of a name that is unknown gets SERVICE_UNKNOWN and stays. When the server drains, watchers
 * are told NOT_SERVING and their calls end UNAVAILABLE: no watcher ends by himself, and the server
 * would wait for them.
 *
 * Invariant: `told` is what a watcher was sent last, so that nothing is sent twice. Daemon process,
 * loop thread.
 */
#include "services/health_service.h"

#include <string.h>

#include "base/list.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "proto/health.pb-c.h"
#include "services/health.h"
#include "services/methods.h"
#include "services/services.h"

#define NAME		   "grpc.health.v1.Health"
#define PATH		   "/" NAME "/"
#define HEALTH_REQUEST_MAX 4096u
/* As in other implementations of List. */
#define HEALTH_LIST_MAX 100u

typedef Grpc__Health__V1__HealthCheckResponse CheckResponse;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

/* The state of a Watch call; zeroed until its message came. */
struct watcher {
	struct health_watch watch;
	struct call *call; /* borrow; NULL: nothing is watched yet */
	bool was_told;
	Status told;
};

static Status to_status(enum health_status status)
{
	switch (status) {
	case HEALTH_SERVING:
		return STATUS(SERVING);
	case HEALTH_NOT_SERVING:
		return STATUS(NOT_SERVING);
	default:
		return STATUS(SERVICE_UNKNOWN);
	}
}

static struct health *health_of(const struct call *c)
{
	const struct services *x = call_context(c);

	return x->health;
}

/* --- Messages ------------------------------------------------------------------------------- */

/* Finishes the call when the message is none; false then. name: valid as long as memory. */
static bool read_request(struct call *c, struct message_memory *memory, const uint8_t *data,
	size_t n, const char **ret_name)
{
	Grpc__Health__V1__HealthCheckRequest *m =
		grpc__health__v1__health_check_request__unpack(&memory->allocator, n, data);

	if (!m) {
		message_refuse(c, memory, "HealthCheckRequest");
		return false;
	}
	*ret_name = m->service;
	return true;
}

static void answer_check(struct call *c, Status status)
{
	CheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	m.status = status;
	message_answer(c, &m.base);
}

static void check_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	enum health_status status;
	const char *name;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	if (read_request(c, &memory, data, n, &name)) {
		status = health_status(health_of(c), name);
		if (status == HEALTH_UNKNOWN)
			call_finishf(c, GRPC_NOT_FOUND, "unknown service '%s'", name);
		else
			answer_check(c, to_status(status));
	}
	message_memory_deinit(&memory);
}

/* --- Watch ---------------------------------------------------------------------------------- */

/* Tell a watcher what is new, or leave it for when he reads again. May end his call. */
static void watcher_update(struct watcher *w)
{
	CheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	bool draining = health_draining(health_of(w->call));
	Status status = to_status(health_watched(&w->watch));

	m.status = status;
	if ((!w->was_told || w->told != status) && (draining || !call_blocked(w->call))) {
		if (message_send(w->call, &m.base)) {
			message_no_memory(w->call);
			return;
		}
		w->was_told = true;
		w->told = status;
	}
	if (draining)
		call_finish(w->call, GRPC_UNAVAILABLE, "modeld is shutting down");
}

static void on_status(struct health_watch *watch)
{
	watcher_update(container_of(watch, struct watcher, watch));
}

static int begin_watch(struct call *c, struct watcher *w, const char *name)
{
	int r;

	w->watch.on_status = on_status;
	r = health_watch(health_of(c), &w->watch, name);
	if (!r)
		w->call = c;
	else
		message_no_memory(c);
	return r;
}

static void watch_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct watcher *w = state;
	const char *name;
	struct message_memory memory;
	bool watches;

	message_memory_init(&memory, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	watches = read_request(c, &memory, data, n, &name) && !begin_watch(c, w, name);
	message_memory_deinit(&memory);
	if (watches)
		watcher_update(w);
}

static void watch_writable(struct call *c, void *state)
{
	struct watcher *w = state;

	(void)c;
	if (w->call)
		watcher_update(w);
}

static void watch_close(struct call *c, void *state)
{
	struct watcher *w = state;

	(void)c;
	health_unwatch(&w->watch);
}

/* --- List ----------------------------------------------------------------------------------- */

typedef Grpc__Health__V1__HealthListResponse__StatusesEntry Entry;

struct listing {
	Entry *entries[HEALTH_LIST_MAX];
	size_t n;
	Entry entry[HEALTH_LIST_MAX];
	CheckResponse status[HEALTH_LIST_MAX];
};

/* Twice the same name (a model may be called like a service): the first counts, as in Check. */
static bool is_listed(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->entry[i].key, name))
			return true;
	}
	return false;
}

/* False: there is no room. */
static bool list_add(struct listing *l, struct health *h, const char *name)
{
	size_t i = l->n;

	if (is_listed(l, name))
		return true;
	if (i == HEALTH_LIST_MAX)
		return false;
	grpc__health__v1__health_check_response__init(&l->status[i]);
	grpc__health__v1__health_list_response__statuses_entry__init(&l->entry[i]);
	l->status[i].status = to_status(health_status(h, name));
	l->entry[i].key = (char *)name;
	l->entry[i].value = &l->status[i];
	l->entries[i] = &l->entry[i];
	l->n++;
	return true;
}

static bool list_all(struct listing *l, const struct services *x)
{
	struct dispatch *d = x->dispatch;
	struct health *h = x->health;
	bool fits = list_add(l, h, "");

	for (const struct service *const *service = x->list; fits && *service; service++)
		fits = list_add(l, h, (*service)->name);
	for (size_t i = 0; fits && i < dispatch_n_versions(d); i++)
		fits = list_add(l, h, version_settings(dispatch_version(d, i))->name);
	return fits;
}

static void answer_list(struct call *c, struct listing *l)
{
	Grpc__Health__V1__HealthListResponse m = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;

	m.n_statuses = l->n;
	m.statuses = l->entries;
	message_answer(c, &m.base);
}

static void list_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct listing l;
	struct message_memory memory;

	(void)state;
	l.n = 0;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	if (!grpc__health__v1__health_list_request__unpack(&memory.allocator, n, data))
		message_refuse(c, &memory, "HealthListRequest");
	else if (!list_all(&l, call_context(c)))
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
			"more than %u names to list: use Check with a name", HEALTH_LIST_MAX);
	else
		answer_list(c, &l);
	message_memory_deinit(&memory);
}

static const struct method methods[] = {
	METHOD_SMALL(PATH "Check", HEALTH_REQUEST_MAX, check_message),
	{
		.path = PATH "Watch",
		.server_streaming = true,
		.state_bytes = sizeof(struct watcher),
		.collect_max = HEALTH_REQUEST_MAX,
		.message = watch_message,
		.writable = watch_writable,
		.close = watch_close,
	},
	METHOD_SMALL(PATH "List", HEALTH_REQUEST_MAX, list_message),
	{.path = NULL},
};

const struct service health_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &grpc__health__v1__health__descriptor,
};
