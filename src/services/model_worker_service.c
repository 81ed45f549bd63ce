/*
 * model_worker_service.c: the table of ModelWorkerService, and the two methods
 * that tell how the server is. Those two speak of the default model where the published service
 * means the one model of its process, and never wait for a worker.
 *
 * Daemon process, loop thread.
 */
#include "services/model_worker_service.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "proto/model_worker.pb-c.h"
#include "services/health.h"
#include "services/methods.h"
#include "services/model_worker_infer.h"
#include "services/services.h"

#define SMALL_REQUEST_MAX 4096u
/* What a worker has when it is well supplied: one batch that runs and one for afterwards. */
#define BATCHES_AT_HAND 2u

/* --- Infer and InferStream ------------------------------------------------------------------ */

struct unary {
	struct infer_unary unary; /* first */
	struct model_worker_infer infer;
};

static void infer_open(struct call *c, void *state)
{
	struct unary *u = state;

	infer_unary_open(&u->unary, c, &model_worker_infer_kind, &u->infer.infer);
}

static void stream_open(struct call *c, void *state)
{
	infer_stream_open(state, c, &model_worker_infer_kind);
}

/* --- HealthCheck and GetStatus -------------------------------------------------------------- */

/* The words of the published service. */
enum server_status {
	SERVER_STARTING,
	SERVER_READY,
	SERVER_BUSY, /* no worker would take up a request at once: they queue up */
	SERVER_STOPPING,
	SERVER_TERMINATED, /* the default model failed for good */
};

static const char *const status_names[] = {
	[SERVER_STARTING] = "starting",
	[SERVER_READY] = "ready",
	[SERVER_BUSY] = "busy",
	[SERVER_STOPPING] = "stopping",
	[SERVER_TERMINATED] = "terminated",
};

static bool is_busy(const struct pool *pool)
{
	size_t n = pool_n_workers(pool);

	for (size_t i = 0; i < n; i++) {
		const struct worker *w = pool_worker(pool, i);

		if (worker_free_slots(w) > 0 && worker_in_flight(w) < BATCHES_AT_HAND)
			return false;
	}
	return n > 0;
}

static enum server_status server_status(const struct services *x)
{
	const struct version *m = dispatch_find_version(x->dispatch, "", 0);

	if (x->draining)
		return SERVER_STOPPING;
	if (!health_serving(x->health))
		return SERVER_STARTING;
	if (m && !version_ready(m))
		return version_hopeful(m) ? SERVER_STARTING : SERVER_TERMINATED;
	return is_busy(dispatch_pool(x->dispatch)) ? SERVER_BUSY : SERVER_READY;
}

static double average_ms(const struct version_counters *c)
{
	if (c->requests_ok == 0)
		return 0;
	return (double)c->total_ns / (double)c->requests_ok / (double)NS_PER_MS;
}

/* The request has no fields; ones that we do not know are ignored. */
static bool check_empty(
	struct call *c, const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t n)
{
	struct message_memory memory;
	bool valid;

	message_memory_init(&memory, MESSAGE_UNPACK_MAX(SMALL_REQUEST_MAX));
	valid = protobuf_c_message_unpack(type, &memory.allocator, n, data) != NULL;
	if (!valid)
		message_refuse(c, &memory, type->short_name);
	message_memory_deinit(&memory);
	return valid;
}

static void health_check_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Remotemedia__ModelRegistry__V1__HealthCheckResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__HEALTH_CHECK_RESPONSE__INIT;
	const struct services *x = call_context(c);
	struct version_counters counters = dispatch_counters(x->dispatch);
	enum server_status status = server_status(x);
	char text[128];

	(void)state;
	if (!check_empty(
		    c, &remotemedia__model_registry__v1__health_check_request__descriptor, data, n))
		return;
	m.healthy = status == SERVER_READY || status == SERVER_BUSY;
	if (m.healthy)
		snprintf(text, sizeof(text),
			"Healthy - %" PRIu64 " requests processed, %.1fms avg latency",
			counters.requests_ok + counters.requests_failed, average_ms(&counters));
	else
		snprintf(text, sizeof(text), "Unhealthy - Status: %s", status_names[status]);
	m.status = text;
	message_answer(c, &m.base);
}

/* The place that answers for the server: a worker that is ready, else the first. */
static const char *worker_id(const struct pool *pool, const struct version *m)
{
	size_t n = pool_n_workers(pool);

	for (size_t i = 0; m && i < n; i++) {
		if (version_held_by(m, pool_worker(pool, i)))
			return worker_name(pool_worker(pool, i));
	}
	return n > 0 ? worker_name(pool_worker(pool, 0)) : "";
}

static void get_status_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	Remotemedia__ModelRegistry__V1__GetStatusResponse m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__GET_STATUS_RESPONSE__INIT;
	const struct services *x = call_context(c);
	struct version_counters counters = dispatch_counters(x->dispatch);
	const struct version *model = dispatch_find_version(x->dispatch, "", 0);

	(void)state;
	if (!check_empty(
		    c, &remotemedia__model_registry__v1__get_status_request__descriptor, data, n))
		return;
	m.worker_id = (char *)worker_id(dispatch_pool(x->dispatch), model);
	m.status = (char *)status_names[server_status(x)];
	m.current_load = dispatch_load(x->dispatch);
	m.total_requests = counters.requests_ok + counters.requests_failed;
	m.average_latency_ms = average_ms(&counters);
	if (model) {
		m.model_id = (char *)version_settings(model)->name;
		m.max_batch_size = version_max_batch_size(model);
	}
	message_answer(c, &m.base);
}

#define NAME "remotemedia.model_registry.v1.ModelWorkerService"
#define PATH "/" NAME "/"

static const struct method methods[] = {
	METHOD_INFER(PATH "Infer", struct unary, infer_open),
	METHOD_INFER_STREAM(PATH "InferStream", stream_open),
	METHOD_SMALL(PATH "HealthCheck", SMALL_REQUEST_MAX, health_check_message),
	METHOD_SMALL(PATH "GetStatus", SMALL_REQUEST_MAX, get_status_message),
	{.path = NULL},
};

const struct service model_worker_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &remotemedia__model_registry__v1__model_worker_service__descriptor,
};
