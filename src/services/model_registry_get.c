/*
 * model_registry_get.c: GetOrLoadModel: a handle on a model, which is loaded where it is not. One load serves all who ask.
 * Daemon process, loop thread.
 */
#include "services/model_registry_get.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "models/overlay.h"
#include "proto/model_registry.pb-c.h"
#include "services/caller.h"
#include "services/services.h"

#define HERE_ONLY                                                                                  \
	"models are loaded from this host only, unless requests may have them loaded ([models] "   \
	"load_on_request)"

#define CONFIG_HERE_ONLY                                                                           \
	"models are loaded with config from this host only: what it says decides what everybody "  \
	"gets"

typedef Remotemedia__ModelRegistry__V1__GetOrLoadModelRequest Request;

static struct services *services_of(const struct model_registry_get *g)
{
	return call_context(g->call);
}

/* --- The answer ------------------------------------------------------------------------------- */

static struct version *find(const struct model_registry_get *g)
{
	struct dispatch *d = services_of(g)->dispatch;

	return g->version[0] ? dispatch_find_number(
				       d, g->name, strlen(g->name), g->version, strlen(g->version))
			     : dispatch_find_version(d, g->name, strlen(g->name));
}

/* "cpu" is each of its kind. */
static bool is_meant(const char *wanted, const char *device)
{
	size_t n = strlen(wanted);

	return !strncmp(device, wanted, n) &&
	       (!device[n] || (device[n] == ':' && !strchr(wanted, ':')));
}

static bool is_on_device(const struct model_registry_get *g, const struct version *v)
{
	const struct pool *p = dispatch_pool(services_of(g)->dispatch);
	bool is = g->device[0] == '\0';

	for (size_t i = 0; !is && i < pool_n_workers(p); i++)
		is = version_held_by(v, pool_worker(p, i)) &&
		     is_meant(g->device, worker_device(pool_worker(p, i)));
	return is;
}

static void answer(
	struct model_registry_get *g, const struct version *v, const char *token, bool was_cached)
{
	Remotemedia__ModelRegistry__V1__GetOrLoadModelResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__GET_OR_LOAD_MODEL_RESPONSE__INIT;
	uint64_t ms = (clock_ns() - g->asked_ns) / NS_PER_MS;

	m.handle_id = (char *)token;
	m.model_id = g->name;
	m.was_cached = was_cached;
	m.load_time_ms = was_cached ? 0 : ms > 0 ? ms : 1;
	m.memory_bytes = version_memory_bytes(v, NULL);
	message_answer(g->call, &m.base);
}

static void refuse_handle(const struct model_registry_get *g, int error)
{
	if (error == MODEL_HANDLES_E_FULL)
		call_finish(g->call, GRPC_RESOURCE_EXHAUSTED,
			"this connection, or session, has as many handles as it may ([limits] "
			"max_model_handles)");
	else if (error == MODEL_HANDLES_E_SESSIONS)
		call_finish(g->call, GRPC_RESOURCE_EXHAUSTED,
			"there are as many sessions as there may be ([limits] max_model_sessions)");
	else
		call_finishf(g->call, GRPC_RESOURCE_EXHAUSTED, "no handle can be made: %s",
			err_str(error));
}

/* v is ready. */
static void give(struct model_registry_get *g, const struct version *v, bool was_cached)
{
	struct services *x = services_of(g);
	char token[MODEL_HANDLE_DIGITS + 1];
	int r;

	if (!is_on_device(g, v)) {
		call_finishf(g->call, GRPC_FAILED_PRECONDITION,
			"model '%s' is on no device '%s': its devices are said by its files",
			g->name, g->device);
		return;
	}
	r = model_handles_add(&x->handles, g->name, call_connection(g->call), g->session, token);
	if (r) {
		refuse_handle(g, r);
		return;
	}
	*(was_cached ? &x->handle_hits : &x->handle_misses) += 1;
	answer(g, v, token, was_cached);
}

/* --- The load ----------------------------------------------------------------------------------- */

static enum grpc_status status_of(enum lifecycle_code code)
{
	switch (code) {
	case LIFECYCLE_INVALID:
	case LIFECYCLE_CONFIG:
		return GRPC_INVALID_ARGUMENT;
	case LIFECYCLE_UNKNOWN:
		return GRPC_NOT_FOUND;
	case LIFECYCLE_WRONG:
	case LIFECYCLE_OTHER:
		return GRPC_FAILED_PRECONDITION;
	case LIFECYCLE_FAILED:
		return GRPC_INTERNAL;
	case LIFECYCLE_FULL:
	case LIFECYCLE_NO_MEMORY:
		return GRPC_RESOURCE_EXHAUSTED;
	case LIFECYCLE_SUPERSEDED:
		return GRPC_ABORTED;
	default:
		return GRPC_UNAVAILABLE;
	}
}

static void on_loaded(struct lifecycle_wait *wait, enum lifecycle_code code, const char *text)
{
	struct model_registry_get *g = container_of(wait, struct model_registry_get, wait);
	const struct version *v = code == LIFECYCLE_OK ? find(g) : NULL;

	if (v && version_ready(v))
		give(g, v, false);
	else if (code == LIFECYCLE_OK)
		call_finishf(
			g->call, GRPC_UNAVAILABLE, "model '%s' is not there any more", g->name);
	else
		call_finish(g->call, status_of(code), text);
}

static void load(struct model_registry_get *g, const struct version *v)
{
	struct lifecycle *l = services_of(g)->lifecycle;

	if (!lifecycle_explicit(l) && v && version_ready(v)) {
		call_finishf(g->call, GRPC_FAILED_PRECONDITION,
			"model '%s' has the settings of its files: config is for models that "
			"callers load ([models] control = explicit)",
			g->name);
		return;
	}
	if (!lifecycle_explicit(l)) {
		call_finishf(g->call, v ? GRPC_UNAVAILABLE : GRPC_NOT_FOUND,
			v ? "model '%s' is not ready" : "model '%s' not found", g->name);
		return;
	}
	if (!caller_is_local(g->call) && !lifecycle_loads_on_request(l)) {
		call_finish(g->call, GRPC_PERMISSION_DENIED, HERE_ONLY);
		return;
	}
	if (g->overlay && !caller_is_local(g->call)) {
		call_finish(g->call, GRPC_PERMISSION_DENIED, CONFIG_HERE_ONLY);
		return;
	}
	g->wait.on_done = on_loaded;
	lifecycle_load_to_refer(l, g->name, g->version, g->overlay, &g->wait);
}

static void begin(struct model_registry_get *g)
{
	const struct version *v = find(g);

	if (v && version_ready(v) &&
		lifecycle_has_settings(services_of(g)->lifecycle, g->name, g->overlay))
		give(g, v, true);
	else
		load(g, v);
}

/* --- The request -------------------------------------------------------------------------------- */

/* False: the call has ended. */
static bool copy(struct call *c, const char *what, const char *from, char *to, size_t cap)
{
	if (strlen(from) < cap) {
		memcpy(to, from, strlen(from) + 1);
		return true;
	}
	call_finishf(c, GRPC_INVALID_ARGUMENT, "%s exceeds %zu bytes", what, cap - 1);
	return false;
}

/* "model:3" -> "model", "3" */
static bool split(struct model_registry_get *g)
{
	char *colon = strchr(g->name, ':');

	if (!colon)
		return true;
	*colon = '\0';
	return copy(g->call, "the version in model_id", colon + 1, g->version, sizeof(g->version));
}

static bool read_path(struct model_registry_get *g, const char *path)
{
	char name[WIRE_NAME_MAX + 1];

	if (!*path)
		return true;
	if (!lifecycle_model_of_path(services_of(g)->lifecycle, path, name, sizeof(name))) {
		call_finish(g->call, GRPC_INVALID_ARGUMENT,
			"model_path is not below a repository of this server ([models] "
			"repository)");
		return false;
	}
	if (g->name[0] && strcmp(g->name, name) != 0) {
		call_finishf(g->call, GRPC_INVALID_ARGUMENT,
			"model_path is of model '%s', and model_id is '%s': a model is called as "
			"its directory",
			name, g->name);
		return false;
	}
	memcpy(g->name, name, sizeof(name));
	return true;
}

/* False: the call has ended. */
static bool read_config(struct model_registry_get *g, const Request *m)
{
	struct wire_pair pairs[WIRE_PAIRS_MAX];
	char text[1024];
	int r;

	for (size_t i = 0; i < m->n_config && i < WIRE_PAIRS_MAX; i++)
		pairs[i] =
			(struct wire_pair){.key = m->config[i]->key, .value = m->config[i]->value};
	r = m->n_config > 0 ? overlay_new_keys(&g->overlay, pairs, m->n_config, text, sizeof(text))
			    : 0;
	if (r == OVERLAY_E_INVALID)
		call_finish(g->call, GRPC_INVALID_ARGUMENT, text);
	else if (r)
		message_no_memory(g->call);
	return !r;
}

static bool read_request(struct model_registry_get *g, const Request *m)
{
	struct call *c = g->call;

	if (!copy(c, "model_id", m->model_id, g->name, sizeof(g->name)) || !split(g) ||
		!copy(c, "device", m->device, g->device, sizeof(g->device)) ||
		!copy(c, "session_id", m->session_id, g->session, sizeof(g->session)) ||
		!read_path(g, m->model_path))
		return false;
	if (g->name[0])
		return read_config(g, m);
	call_finish(c, GRPC_INVALID_ARGUMENT, "neither model_id nor model_path says which model");
	return false;
}

void model_registry_get(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct model_registry_get *g = state;
	struct message_memory memory;
	const Request *m;

	g->call = c;
	g->asked_ns = clock_ns();
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(n));
	m = message_read(c, &memory,
		&remotemedia__model_registry__v1__get_or_load_model_request__descriptor, data, n);
	if (m && !services_of(g)->lifecycle)
		call_finish(c, GRPC_UNIMPLEMENTED, "models cannot be loaded here");
	else if (m && read_request(g, m))
		begin(g);
	message_memory_deinit(&memory);
}

void model_registry_get_close(struct call *c, void *state)
{
	struct model_registry_get *g = state;

	(void)c;
	lifecycle_forget(&g->wait);
	g->overlay = overlay_unref(g->overlay);
}
