/*
 * control_service.c: modeld.control.v1.Control: how the server, its workers and its models are.
 * Everything is taken from what the daemon knows: no worker is asked.
 *
 * A reply is built in memory that is cut from one block (bump.h); texts are borrowed from where
 * they are, since it is packed before anything can change. Daemon process, loop thread.
 */
#include "services/control_service.h"

#include <errno.h>
#include <unistd.h>

#include "base/busy_poll.h"
#include "base/clock.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "handoff/handoff.h"
#include "models/lifecycle.h"
#include "proto/control.pb-c.h"
#include "services/control_log.h"
#include "services/control_models.h"
#include "services/health.h"
#include "services/methods.h"
#include "services/services.h"

#define NAME		    "modeld.control.v1.Control"
#define PATH		    "/" NAME "/"
#define CONTROL_REQUEST_MAX 4096u
/* Of memory for one reply: far more than 1024 models need. */
#define CONTROL_REPLY_MAX ((size_t)64 << 20)

typedef Modeld__Control__V1__ServerStatusResponse Response;
typedef Modeld__Control__V1__WorkerStatus Worker;
typedef Modeld__Control__V1__ModelStatus Model;
typedef Modeld__Control__V1__TensorStatus Tensor;
typedef Modeld__Control__V1__PlacementStatus Placement;
typedef Modeld__Control__V1__GpuStatus Gpu;

static const char *server_state(const struct services *x)
{
	if (x->draining)
		return "draining";
	return health_serving(x->health) ? "serving" : "starting";
}

static uint64_t ms_since(uint64_t from_ns, uint64_t now_ns)
{
	return from_ns > 0 && now_ns > from_ns ? (now_ns - from_ns) / NS_PER_MS : 0;
}

static void fill_use(Worker *m, const struct worker *w)
{
	const struct worker_limits limits = worker_limits(w);
	const struct group_use use = worker_use(w);

	m->max_memory_bytes = limits.max_memory_bytes;
	m->max_cpu_percent = limits.max_cpu_percent;
	m->max_processes = limits.max_processes;
	m->memory_bytes = use.memory_bytes;
	m->processes = use.processes;
}

static void fill_worker(Worker *m, const struct worker *w, uint64_t now_ns)
{
	const struct pool_model_settings *model = worker_model(w);
	uint64_t restart_ns = worker_restart_at_ns(w);

	modeld__control__v1__worker_status__init(m);
	if (model) {
		m->model = (char *)model->name;
		m->model_version = (char *)model->version;
	}
	m->name = (char *)worker_name(w);
	m->device = (char *)worker_device(w);
	m->quarantine = (char *)worker_quarantine(w);
	/* To whoever looks that is a state: nothing happens until somebody helps. */
	m->state = *m->quarantine ? (char *)"quarantined"
				  : (char *)worker_state_name(worker_get_state(w));
	m->copies = (char *)worker_copies(w);
	m->pid = (uint32_t)worker_pid(w);
	m->generation = worker_generation(w);
	m->batches_in_flight = worker_in_flight(w);
	m->slots = worker_slots(w);
	m->batches_done = worker_batches_done(w);
	m->restarts = worker_restarts(w);
	m->uptime_ms = ms_since(worker_ready_since_ns(w), now_ns);
	m->last_exit = (char *)worker_last_exit(w);
	m->sandbox = (char *)worker_sandbox(w);
	m->output_segments = worker_output_segments(w);
	m->output_mapped_bytes = worker_output_mapped(w);
	m->stayed_bytes = worker_stayed_bytes(w);
	m->restart_in_ms = restart_ns ? clock_ms_until(now_ns, restart_ns) : 0;
	fill_use(m, w);
}

/* An array of n pointers to n zeroed structs of `size` bytes; NULL: no memory. */
static void **make_array(struct message_memory *memory, size_t n, size_t size)
{
	void **array = message_memory_calloc(memory, n, sizeof(void *));
	uint8_t *items = message_memory_calloc(memory, n, size);

	if (!array || !items)
		return NULL;
	for (size_t i = 0; i < n; i++)
		array[i] = items + i * size;
	return array;
}

static int fill_tensors(struct message_memory *memory, const struct wire_declaration *list,
	size_t n, size_t *ret_n, Tensor ***ret_tensors)
{
	Tensor **tensors = (Tensor **)make_array(memory, n, sizeof(Tensor));

	if (!tensors)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		modeld__control__v1__tensor_status__init(tensors[i]);
		tensors[i]->name = (char *)list[i].name;
		tensors[i]->dtype = (char *)dtype_name(list[i].dtype);
		tensors[i]->n_dims = list[i].any_shape ? 0 : list[i].rank;
		tensors[i]->dims = (int64_t *)list[i].dims;
		tensors[i]->any_shape = list[i].any_shape;
	}
	*ret_n = n;
	*ret_tensors = tensors;
	return 0;
}

static int fill_declared(
	struct message_memory *memory, Model *m, const struct wire_loaded *declared)
{
	int r;

	if (!declared)
		return 0;
	m->memory_bytes = declared->memory_bytes;
	r = fill_tensors(memory, declared->inputs, declared->n_inputs, &m->n_inputs, &m->inputs);
	if (r)
		return r;
	return fill_tensors(
		memory, declared->outputs, declared->n_outputs, &m->n_outputs, &m->outputs);
}

static int fill_placements(struct message_memory *memory, Model *m, const struct version *model)
{
	struct pool_placement p;
	size_t n = 0;

	for (size_t i = 0; version_placement(model, &i, &p);)
		n++;
	m->placements = (Placement **)make_array(memory, n, sizeof(Placement));
	if (!m->placements)
		return -ENOMEM;
	for (size_t i = 0; version_placement(model, &i, &p); m->n_placements++) {
		Placement *to = m->placements[m->n_placements];

		modeld__control__v1__placement_status__init(to);
		to->worker = (char *)worker_name(p.worker);
		to->device = (char *)worker_device(p.worker);
		to->instances = p.instances;
		to->state = (char *)p.state;
	}
	return 0;
}

static int fill_model(struct message_memory *memory, Model *m, const struct version *model)
{
	const struct version_settings *settings = version_settings(model);
	const struct version_counters *counters = version_counters(model);
	int r;

	modeld__control__v1__model_status__init(m);
	m->name = (char *)settings->name;
	m->version = (char *)settings->version;
	m->backend = (char *)settings->backend;
	m->state = (char *)version_state_name(model);
	m->detail =
		(char *)(*version_detail(model) ? version_detail(model) : version_remark(model));
	m->workers_ready = version_workers_ready(model);
	m->max_batch_size = version_max_batch_size(model);
	m->queue_depth = version_queue_depth(model);
	m->queue_limit = settings->max_queue_size;
	m->requests_ok = counters->requests_ok;
	m->requests_failed = counters->requests_failed;
	m->batches = counters->batches;
	r = fill_placements(memory, m, model);
	return r ? r : fill_declared(memory, m, version_declared(model));
}

static int64_t known(int64_t figure)
{
	return figure == NVML_UNKNOWN ? -1 : figure;
}

static void fill_gpu(Gpu *m, const struct nvml_gpu *g)
{
	modeld__control__v1__gpu_status__init(m);
	m->name = (char *)g->name;
	m->uuid = (char *)g->uuid;
	m->bus = (char *)g->bus;
	m->busy_percent = known(g->busy_percent);
	m->memory_busy_percent = known(g->memory_busy_percent);
	m->memory_total_bytes = known(g->memory_total_bytes);
	m->memory_used_bytes = known(g->memory_used_bytes);
	m->power_mw = known(g->power_mw);
	m->power_limit_mw = known(g->power_limit_mw);
	m->energy_mj = known(g->energy_mj);
	m->temperature_c = known(g->temperature_c);
	m->sm_clock_mhz = known(g->sm_clock_mhz);
	m->memory_clock_mhz = known(g->memory_clock_mhz);
	m->ecc_uncorrected = known(g->ecc_uncorrected);
	m->recovery_action = known(g->recovery_action);
	m->last_xid = known(g->last_xid);
	m->xid_errors = g->xid_errors;
}

static int fill_gpus(struct message_memory *memory, Response *m, struct pool *pool)
{
	size_t n = pool_gpus(pool, NULL, 0);
	struct nvml_gpu *list = message_memory_calloc(memory, n, sizeof(*list));

	m->n_gpus = n;
	m->gpus = (Gpu **)make_array(memory, n, sizeof(Gpu));
	if (!list || !m->gpus)
		return -ENOMEM;
	/* There may be more by now, never fewer. */
	(void)pool_gpus(pool, list, n);
	for (size_t i = 0; i < n; i++)
		fill_gpu(m->gpus[i], &list[i]);
	return 0;
}

/* --- Models that cannot be served as their files are ------------------------------------------ */

static void count_wrong(void *data, const struct lifecycle_item *item)
{
	*(size_t *)data += item->wrong && !*item->version;
}

/* Where they go that were counted. */
struct wrong_models {
	Response *m;
	size_t n_left;
	bool more; /* than were counted: there was no memory for all then */
};

static void add_wrong(void *data, const struct lifecycle_item *item)
{
	struct wrong_models *w = data;
	Model *model;

	if (!item->wrong || *item->version)
		return;
	if (w->n_left == 0) {
		w->more = true;
		return;
	}
	w->n_left--;
	model = w->m->models[w->m->n_models++];
	modeld__control__v1__model_status__init(model);
	model->name = (char *)item->name;
	model->state = (char *)"wrong";
	model->detail = (char *)item->reason;
}

/* Behind those that are served, where there is room for so many. -ENOMEM */
static int fill_wrong(Response *m, const struct services *x, size_t room)
{
	struct wrong_models w = {.m = m, .n_left = room};

	if (x->lifecycle)
		lifecycle_list_wrong(x->lifecycle, add_wrong, &w);
	return w.more ? -ENOMEM : 0;
}

static int fill_lists(
	struct message_memory *memory, Response *m, const struct services *x, uint64_t now_ns)
{
	struct dispatch *d = x->dispatch;
	struct pool *pool = dispatch_pool(d);
	size_t n_wrong = 0;
	size_t n = dispatch_n_versions(d);
	int r = fill_gpus(memory, m, pool);

	m->workers = (Worker **)make_array(memory, pool_n_workers(pool), sizeof(Worker));
	if (x->lifecycle)
		lifecycle_list_wrong(x->lifecycle, count_wrong, &n_wrong);
	m->models = (Model **)make_array(memory, n + n_wrong, sizeof(Model));
	if (!m->workers || !m->models)
		return -ENOMEM;
	for (size_t i = 0; i < pool_n_workers(pool); i++) {
		if (worker_is_used(pool_worker(pool, i)))
			fill_worker(m->workers[m->n_workers++], pool_worker(pool, i), now_ns);
	}
	for (size_t i = 0; i < n && !r; i++)
		r = fill_model(memory, m->models[i], dispatch_version(d, i));
	m->n_models = n;
	return r ? r : fill_wrong(m, x, n_wrong);
}

static void fill_server(Response *m, const struct services *x, uint64_t now_ns)
{
	struct version_counters counters = dispatch_counters(x->dispatch);
	struct calls_counters calls = calls_counters(x->calls);
	const struct arena *arena = dispatch_arena(x->dispatch);
	const struct arena_memory memory = arena_memory(arena);
	const struct version *model = dispatch_find_version(x->dispatch, "", 0);

	m->version = (char *)MODELD_VERSION;
	m->pid = (uint32_t)getpid();
	m->uptime_ms = ms_since(x->started_ns, now_ns);
	m->state = (char *)server_state(x);
	m->connections = transport_n_connections(calls_transport(x->calls));
	m->calls = calls.open;
	m->requests_total = counters.requests_ok + counters.requests_failed;
	if (counters.requests_ok > 0)
		m->average_latency_ms = (double)counters.total_ns / (double)counters.requests_ok /
					(double)NS_PER_MS;
	m->arena_used_bytes = arena_used(arena);
	m->arena_touched_bytes = memory.resident;
	m->arena_segments = memory.n_segments;
	m->arena_mapped_bytes = memory.mapped;
	m->arena_size_bytes = arena_limit(arena);
	m->stalls = dispatch_stalls(x->dispatch);
	m->default_model = (char *)(model ? version_settings(model)->name : "");
	m->tensor_bytes_received = x->tensor_bytes_received;
	m->tensor_bytes_copied_in = x->tensor_bytes_copied_in;
	m->tensor_bytes_sent = calls.bulk_bytes_sent;
	m->tensor_bytes_copied_out = calls.bulk_bytes_copied;
}

static void fill_spins(Response *m, const struct services *x)
{
	for (size_t i = 0; i < x->n_polls; i++) {
		m->loop_spins += x->polls[i].n_spins;
		m->loop_spins_paid += x->polls[i].n_paid;
	}
}

static void fill_handoff(Response *m, const struct handoff *h)
{
	struct handoff_counters counters;

	if (!h)
		return;
	counters = handoff_counters(h);
	m->handoff_connections = counters.connections;
	m->handoff_regions = counters.regions;
	m->handoff_region_bytes = counters.region_bytes;
	m->handoff_requests = counters.requests_total;
	m->tensor_bytes_handed = counters.tensor_bytes_handed;
}

static void answer(struct call *c, struct message_memory *memory)
{
	Response m = MODELD__CONTROL__V1__SERVER_STATUS_RESPONSE__INIT;
	const struct services *x = call_context(c);
	uint64_t now_ns = clock_ns();

	if (fill_lists(memory, &m, x, now_ns)) {
		message_no_memory(c);
		return;
	}
	call_work(c, m.n_models / 4 + m.n_workers / 2);
	fill_server(&m, x, now_ns);
	fill_spins(&m, x);
	fill_handoff(&m, x->handoff);
	message_answer(c, &m.base);
}

static void status_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, CONTROL_REPLY_MAX);
	if (message_read(
		    c, &memory, &modeld__control__v1__server_status_request__descriptor, data, n))
		answer(c, &memory);
	message_memory_deinit(&memory);
}

static const struct method methods[] = {
	METHOD_SMALL(PATH "GetServerStatus", CONTROL_REQUEST_MAX, status_message),
	METHOD_SMALL(PATH "GetLog", CONTROL_REQUEST_MAX, control_log_message),
	METHOD_WAITING(PATH "LoadModel", CONTROL_REQUEST_MAX, struct control_waiter,
		control_load_message, control_models_close),
	METHOD_WAITING(PATH "UnloadModel", CONTROL_REQUEST_MAX, struct control_waiter,
		control_unload_message, control_models_close),
	METHOD_WAITING(PATH "ReloadModel", CONTROL_REQUEST_MAX, struct control_waiter,
		control_reload_message, control_models_close),
	{.path = NULL},
};

const struct service control_service = {
	.name = NAME,
	.methods = methods,
	.descriptor = &modeld__control__v1__control__descriptor,
};
