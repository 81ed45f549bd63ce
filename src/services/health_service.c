/*
 * health_service.c: grpc.health.v1.Health.
 *
 *   ""       SERVING from the end of start-up while every model is ready (strict_readiness) or
 *            at least one is, or there is none at all
 *   service  SERVING from the end of start-up
 *   model    SERVING while a worker that holds it is ready
 * Draining ends all of it. A watcher of a name that is unknown gets SERVICE_UNKNOWN and stays.
 * When the server drains, watchers are told NOT_SERVING and their calls end UNAVAILABLE: no
 * watcher ends by himself, and the server would wait for them.
 *
 * Invariants: a watcher is in the list from its message to the call's close; `told` is what it was
 * sent last, so that nothing is sent twice. Daemon process, loop thread.
 */
#include "services/health_service.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "grpc/bump.h"
#include "grpc/message.h"
#include "proto/health.pb-c.h"
#include "services/services.h"

#define NAME		   "grpc.health.v1.Health"
#define HEALTH_REQUEST_MAX 4096u
/* As in other implementations of List. */
#define HEALTH_LIST_MAX 100u

typedef Grpc__Health__V1__HealthCheckResponse CheckResponse;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct health {
	struct services *services; /* borrow */
	struct list watchers;	   /* struct watcher.node */
	bool serving;		   /* start-up is over */
	bool draining;
};

enum subject_kind {
	SUBJECT_SERVER,
	SUBJECT_SERVICE,
	SUBJECT_MODEL, /* or nothing that is known: models come and go */
};

/* What is asked about. */
struct subject {
	enum subject_kind kind;
	const char *name; /* borrow */
};

/* The state of a Watch call; zeroed until its message came. */
struct watcher {
	struct list node;
	struct call *call;	/* borrow; NULL: nothing is watched yet */
	struct subject subject; /* its name: own */
	bool was_told;
	Status told;
};

static struct health *health_of(const struct call *c)
{
	const struct services *x = call_context(c);

	return x->health;
}

int health_new(struct health **ret_health, struct services *x)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->services = x;
	list_init(&h->watchers);
	*ret_health = h;
	return 0;
}

struct health *health_free(struct health *h)
{
	if (!h)
		return NULL;
	assert(list_empty(&h->watchers));
	free(h);
	return NULL;
}

bool health_serving(const struct health *h)
{
	return h->serving && !h->draining;
}

static bool models_serve(const struct health *h)
{
	struct dispatch *d = h->services->dispatch;
	size_t n = 0;
	size_t n_ready = 0;

	for (size_t i = 0; i < dispatch_n_versions(d); i++) {
		const struct version *v = dispatch_version(d, i);

		/* What is to replace another one is not asked for yet. */
		n += !version_replaces(v);
		n_ready += !version_replaces(v) && version_ready(v);
	}
	if (h->services->settings->strict_readiness)
		return n_ready == n;
	return n_ready > 0 || n == 0;
}

static Status model_status(const struct health *h, const char *name)
{
	const struct version *v = dispatch_find_version(h->services->dispatch, name, strlen(name));

	if (!v)
		return STATUS(SERVICE_UNKNOWN);
	return version_ready(v) && !h->draining ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

/* models: what models_serve() says. */
static Status subject_status(const struct health *h, const struct subject *s, bool models)
{
	bool serves = h->serving && !h->draining;

	if (s->kind == SUBJECT_MODEL)
		return model_status(h, s->name);
	if (s->kind == SUBJECT_SERVER)
		serves = serves && models;
	return serves ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

/* The name is borrowed. */
static struct subject find_subject(const struct health *h, const char *name)
{
	struct subject s = {.kind = SUBJECT_MODEL, .name = name};

	if (name[0] == '\0')
		s.kind = SUBJECT_SERVER;
	for (const struct service *const *service = h->services->list; *service; service++) {
		if (!strcmp((*service)->name, name))
			s.kind = SUBJECT_SERVICE;
	}
	return s;
}

/* --- Messages ------------------------------------------------------------------------------- */

/* Finishes the call when the message is none; false then. name: valid as long as b. */
static bool read_request(
	struct call *c, struct bump *b, const uint8_t *data, size_t n, const char **ret_name)
{
	Grpc__Health__V1__HealthCheckRequest *m =
		grpc__health__v1__health_check_request__unpack(&b->allocator, n, data);

	if (!m) {
		message_refuse(c, b, "HealthCheckRequest");
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
	const struct health *h = health_of(c);
	struct subject subject;
	const char *name;
	struct bump bump;
	Status status;

	(void)state;
	bump_init(&bump, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	if (read_request(c, &bump, data, n, &name)) {
		subject = find_subject(h, name);
		status = subject_status(h, &subject, models_serve(h));
		if (status == STATUS(SERVICE_UNKNOWN))
			call_finishf(c, GRPC_NOT_FOUND, "unknown service '%s'", name);
		else
			answer_check(c, status);
	}
	bump_deinit(&bump);
}

/* --- Watch ---------------------------------------------------------------------------------- */

/* Tell a watcher what is new, or leave it for when he reads again. May end his call. */
static void watcher_update(struct health *h, struct watcher *w, bool models)
{
	CheckResponse m = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	Status status = subject_status(h, &w->subject, models);

	m.status = status;
	if ((!w->was_told || w->told != status) && (h->draining || !call_blocked(w->call))) {
		if (message_send(w->call, &m.base)) {
			message_no_memory(w->call);
			return;
		}
		w->was_told = true;
		w->told = status;
	}
	if (h->draining)
		call_finish(w->call, GRPC_UNAVAILABLE, "modeld is shutting down");
}

/* May the change of a model (NULL: of all) be news for him? */
static bool is_concerned(const struct watcher *w, const char *model)
{
	if (!model || w->subject.kind == SUBJECT_SERVER)
		return true;
	return w->subject.kind == SUBJECT_MODEL && !strcmp(w->subject.name, model);
}

/* Any watcher may leave meanwhile: each is moved over before it is looked at. */
static void update_all(struct health *h, const char *model)
{
	bool models = models_serve(h);
	struct list all;
	struct list *node;

	list_init(&all);
	while ((node = list_first(&h->watchers))) {
		list_remove(node);
		list_push_back(&all, node);
	}
	while ((node = list_first(&all))) {
		struct watcher *w = list_entry(node, struct watcher, node);

		list_remove(node);
		list_push_back(&h->watchers, node);
		if (is_concerned(w, model))
			watcher_update(h, w, models);
	}
}

static char *copy_name(const char *name)
{
	size_t n = strlen(name) + 1;
	char *copy = malloc(n);

	return copy ? memcpy(copy, name, n) : NULL;
}

static void watch_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct health *h = health_of(c);
	struct watcher *w = state;
	const char *name;
	char *own = NULL;
	struct bump bump;
	bool valid;

	bump_init(&bump, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	valid = read_request(c, &bump, data, n, &name);
	if (valid)
		own = copy_name(name);
	bump_deinit(&bump);
	if (!own) {
		if (valid)
			message_no_memory(c);
		return;
	}
	w->call = c;
	w->subject = find_subject(h, own);
	list_init(&w->node);
	list_push_back(&h->watchers, &w->node);
	watcher_update(h, w, models_serve(h));
}

static void watch_writable(struct call *c, void *state)
{
	struct watcher *w = state;

	if (w->call)
		watcher_update(health_of(c), w, models_serve(health_of(c)));
}

static void watch_close(struct call *c, void *state)
{
	struct watcher *w = state;

	(void)c;
	if (!w->call)
		return;
	list_remove(&w->node);
	free((char *)w->subject.name);
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
static bool list_add(struct listing *l, const struct health *h, const char *name)
{
	struct subject subject = find_subject(h, name);
	size_t i = l->n;

	if (is_listed(l, name))
		return true;
	if (i == HEALTH_LIST_MAX)
		return false;
	grpc__health__v1__health_check_response__init(&l->status[i]);
	grpc__health__v1__health_list_response__statuses_entry__init(&l->entry[i]);
	l->status[i].status = subject_status(h, &subject, models_serve(h));
	l->entry[i].key = (char *)name;
	l->entry[i].value = &l->status[i];
	l->entries[i] = &l->entry[i];
	l->n++;
	return true;
}

static bool list_all(struct listing *l, const struct health *h)
{
	struct dispatch *d = h->services->dispatch;
	bool fits = list_add(l, h, "");

	for (const struct service *const *service = h->services->list; fits && *service; service++)
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
	struct bump bump;

	(void)state;
	l.n = 0;
	bump_init(&bump, MESSAGE_UNPACK_MAX(HEALTH_REQUEST_MAX));
	if (!grpc__health__v1__health_list_request__unpack(&bump.allocator, n, data))
		message_refuse(c, &bump, "HealthListRequest");
	else if (!list_all(&l, health_of(c)))
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
			"more than %u names to list: use Check with a name", HEALTH_LIST_MAX);
	else
		answer_list(c, &l);
	bump_deinit(&bump);
}

/* --- What happens --------------------------------------------------------------------------- */

void health_set_serving(struct health *h, bool serving)
{
	h->serving = serving;
	update_all(h, NULL);
}

void health_set_draining(struct health *h)
{
	h->draining = true;
	update_all(h, NULL);
}

void health_model_changed(struct health *h, const struct version *v)
{
	update_all(h, version_settings(v)->name);
}

static const struct method methods[] = {
	{
		.path = "/" NAME "/Check",
		.collect_max = HEALTH_REQUEST_MAX,
		.message = check_message,
	},
	{
		.path = "/" NAME "/Watch",
		.server_streaming = true,
		.state_bytes = sizeof(struct watcher),
		.collect_max = HEALTH_REQUEST_MAX,
		.message = watch_message,
		.writable = watch_writable,
		.close = watch_close,
	},
	{
		.path = "/" NAME "/List",
		.collect_max = HEALTH_REQUEST_MAX,
		.message = list_message,
	},
	{.path = NULL},
};

const struct service health_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &grpc__health__v1__health__descriptor,
};
