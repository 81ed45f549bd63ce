/*
 * model_registry_service.c: the table of ModelRegistryService, and what it tells of models and handles. Daemon process,
 * loop thread.
 */
#include "services/model_registry_service.h"

#include <string.h>

#include "base/clock.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "proto/model_registry.pb-c.h"
#include "services/caller.h"
#include "services/methods.h"
#include "services/model_registry_get.h"
#include "services/services.h"

#define REQUEST_MAX	 (64u * 1024u)
#define SMALL_MAX	 4096u
#define LIST_MEMORY	 (64u * 1024u * 1024u)
#define METADATA_ENTRIES 3u

typedef Remotemedia__ModelRegistry__V1__ModelInfo Info;
typedef Remotemedia__ModelRegistry__V1__ModelInfo__MetadataEntry Entry;

/* --- ReleaseModel ------------------------------------------------------------------------------- */

static void release_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Remotemedia__ModelRegistry__V1__ReleaseModelResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__RELEASE_MODEL_RESPONSE__INIT;
	const Remotemedia__ModelRegistry__V1__ReleaseModelRequest *q;
	struct services *x = call_context(c);
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(SMALL_MAX));
	q = message_read(c, &memory,
		&remotemedia__model_registry__v1__release_model_request__descriptor, data, n);
	if (q) {
		m.released =
			model_handles_release(&x->handles, q->handle_id, &m.remaining_references);
		message_answer(c, &m.base);
	}
	message_memory_deinit(&memory);
}

/* --- ListModels --------------------------------------------------------------------------------- */

/* Unix seconds; at_ns: of the monotonic clock, 0: never. */
static int64_t unix_seconds(uint64_t at_ns)
{
	uint64_t ago_ns = clock_ns() - at_ns;

	return at_ns ? (int64_t)((clock_wall_ns() - ago_ns) / NS_PER_S) : 0;
}

/* Where its workers are: each once. */
static const char *device_of(const struct services *x, const struct version *v)
{
	const struct pool *p = dispatch_pool(x->dispatch);

	for (size_t i = 0; i < pool_n_workers(p); i++) {
		if (version_held_by(v, pool_worker(p, i)))
			return worker_device(pool_worker(p, i));
	}
	return "";
}

static bool add_metadata(struct message_memory *memory, Info *info, const struct version *v)
{
	const struct version_settings *s = version_settings(v);
	const char *const texts[METADATA_ENTRIES][2] = {
		{"version", s->version},
		{"backend", s->backend},
		{"state", version_state_name(v)},
	};
	Entry *entries = message_memory_calloc(memory, METADATA_ENTRIES, sizeof(*entries));

	info->metadata = message_memory_calloc(memory, METADATA_ENTRIES, sizeof(Entry *));
	if (!entries || !info->metadata)
		return false;
	for (size_t i = 0; i < METADATA_ENTRIES; i++) {
		remotemedia__model_registry__v1__model_info__metadata_entry__init(&entries[i]);
		entries[i].key = (char *)texts[i][0];
		entries[i].value = (char *)texts[i][1];
		info->metadata[i] = &entries[i];
	}
	info->n_metadata = METADATA_ENTRIES;
	return true;
}

static void fill(const struct services *x, Info *info, const struct version *v)
{
	const char *name = version_settings(v)->name;

	remotemedia__model_registry__v1__model_info__init(info);
	info->model_id = (char *)name;
	info->device = (char *)device_of(x, v);
	info->memory_bytes = version_memory_bytes(v, NULL);
	info->reference_count = x->lifecycle ? lifecycle_references(x->lifecycle, name) : 0;
	info->loaded_at = unix_seconds(version_proven_ns(v));
	info->last_accessed = unix_seconds(version_counters(v)->last_ns);
	if (info->last_accessed < info->loaded_at)
		info->last_accessed = info->loaded_at;
}

static bool list(const struct services *x, struct message_memory *memory, bool metrics,
	Remotemedia__ModelRegistry__V1__ListModelsResponse *m)
{
	size_t n = dispatch_n_versions(x->dispatch);
	Info *infos = message_memory_calloc(memory, n + 1, sizeof(*infos));

	m->models = message_memory_calloc(memory, n + 1, sizeof(Info *));
	if (!infos || !m->models)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct version *v = dispatch_version(x->dispatch, i);
		Info *info = &infos[m->n_models];

		if (!version_ready(v))
			continue;
		fill(x, info, v);
		if (metrics && !add_metadata(memory, info, v))
			return false;
		m->models[m->n_models++] = info;
	}
	return true;
}

static void list_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Remotemedia__ModelRegistry__V1__ListModelsResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__LIST_MODELS_RESPONSE__INIT;
	const Remotemedia__ModelRegistry__V1__ListModelsRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, LIST_MEMORY);
	q = message_read(c, &memory,
		&remotemedia__model_registry__v1__list_models_request__descriptor, data, n);
	call_work(c, dispatch_n_versions(((const struct services *)call_context(c))->dispatch) / 4);
	if (q && list(call_context(c), &memory, q->include_metrics, &m))
		message_answer(c, &m.base);
	else if (q)
		message_no_memory(c);
	message_memory_deinit(&memory);
}

/* --- GetMetrics --------------------------------------------------------------------------------- */

static void answer_metrics(struct call *c)
{
	Remotemedia__ModelRegistry__V1__GetMetricsResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__GET_METRICS_RESPONSE__INIT;
	const struct services *x = call_context(c);
	uint64_t asked = x->handle_hits + x->handle_misses;

	call_work(c, dispatch_n_versions(x->dispatch) / 64);
	for (size_t i = 0; i < dispatch_n_versions(x->dispatch); i++) {
		const struct version *v = dispatch_version(x->dispatch, i);

		m.total_models += version_ready(v);
		m.total_memory_bytes += version_memory_bytes(v, NULL);
	}
	m.cache_hits = x->handle_hits;
	m.cache_misses = x->handle_misses;
	m.hit_rate = asked ? (double)x->handle_hits / (double)asked : 0;
	m.evictions = x->lifecycle ? lifecycle_counters(x->lifecycle).evictions : 0;
	message_answer(c, &m.base);
}

static void metrics_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(SMALL_MAX));
	if (message_read(c, &memory,
		    &remotemedia__model_registry__v1__get_metrics_request__descriptor, data, n))
		answer_metrics(c);
	message_memory_deinit(&memory);
}

/* --- EvictExpired ------------------------------------------------------------------------------- */

static void evict(struct call *c, uint32_t ttl_s)
{
	Remotemedia__ModelRegistry__V1__EvictExpiredResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__EVICT_EXPIRED_RESPONSE__INIT;
	struct lifecycle *l = ((struct services *)call_context(c))->lifecycle;
	struct lifecycle_expired gone;

	if (!l || !caller_is_local(c)) {
		call_finish(c, GRPC_PERMISSION_DENIED, "models are evicted from this host only");
		return;
	}
	gone = lifecycle_expire(l, ttl_s ? (uint64_t)ttl_s * 1000 : lifecycle_settings(l)->ttl_ms);
	m.evicted_count = gone.n;
	m.freed_memory_bytes = gone.bytes;
	message_answer(c, &m.base);
}

static void evict_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Remotemedia__ModelRegistry__V1__EvictExpiredRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, MESSAGE_UNPACK_MAX(SMALL_MAX));
	q = message_read(c, &memory,
		&remotemedia__model_registry__v1__evict_expired_request__descriptor, data, n);
	if (q)
		evict(c, q->ttl_seconds);
	message_memory_deinit(&memory);
}

/* --- The table ---------------------------------------------------------------------------------- */

#define NAME "remotemedia.model_registry.v1.ModelRegistryService"
#define PATH "/" NAME "/"

static const struct method methods[] = {
	METHOD_WAITING(PATH "GetOrLoadModel", REQUEST_MAX, struct model_registry_get,
		model_registry_get, model_registry_get_close),
	METHOD_SMALL(PATH "ReleaseModel", SMALL_MAX, release_message),
	METHOD_SMALL(PATH "ListModels", SMALL_MAX, list_message),
	METHOD_SMALL(PATH "GetMetrics", SMALL_MAX, metrics_message),
	METHOD_SMALL(PATH "EvictExpired", SMALL_MAX, evict_message),
	{.path = NULL},
};

const struct service model_registry_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &remotemedia__model_registry__v1__model_registry_service__descriptor,
};
