/*
 * dispatch_double.h: src/dispatch and src/pool as services see them, played by the test: what is
 * submitted waits until the test answers it; leases, readiness and workers are as it says.
 * Included by one .c of a test program; its symbols stand in for those folders'.
 */
#ifndef TESTS_UNIT_SERVICES_DISPATCH_DOUBLE_H
#define TESTS_UNIT_SERVICES_DISPATCH_DOUBLE_H

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/utf8.h"
#include "call_double.h"
#include "dispatch/demand.h"
#include "dispatch/dispatch.h"
#include "dispatch/output_share.h"
#include "handoff/handoff.h"
#include "lifecycle_double.h"

#define DOUBLE_MODELS_MAX  1000
#define DOUBLE_WORKERS_MAX 4

struct version {
	unsigned refs;
	const struct version *replaces;
	struct version_settings settings;
	struct wire_loaded declared;
	bool is_declared;
	bool ready;
	bool hopeful;
	const char *detail, *passed_over;
	uint32_t max_batch_size;
	uint32_t queue_depth;
	struct version_counters counters;
	const struct pool_placement *placements;
	size_t n_placements;
	uint32_t id;
};

struct worker {
	const char *name;
	const char *device;
	enum worker_state state;
	int pid;
	uint64_t generation, batches_done, restarts, ready_since_ns, restart_at_ns;
	const char *last_exit, *sandbox;
	uint32_t slots, in_flight;
	const struct pool_model_settings *model;
	struct worker_limits limits;
	struct group_use use;
};

struct pool {
	struct worker workers[DOUBLE_WORKERS_MAX];
	size_t n;
};

struct arena {
	uint64_t used, limit;
	struct arena_memory memory;
};

struct client {
	bool over_share; /* what output_share_over() says */
};

struct dispatch {
	struct version models[DOUBLE_MODELS_MAX];
	size_t n_models;
	struct version *default_model;
	struct pool pool;
	struct arena arena;
	int lease_error;	  /* what lease_new() returns */
	uint32_t numa_node;	  /* of every model that there is */
	uint32_t lease_numa_node; /* what lease_new() was asked for last */
	struct list line;	  /* struct lease_waiter.node */
	struct list queue;	  /* struct request.node: submitted, in order */
	bool full;		  /* what dispatch_full() says */
	enum grpc_status refusal; /* not OK: what dispatch_submit() refuses with */
	bool holds;		  /* what is not declared is worth waiting for */
	int demand_error;    /* of dispatch_demand(); 0: demands wait for double_end_demands() */
	struct list demands; /* struct demand.node */
	char demanded[128];  /* "model/version ..." */
	struct list held;    /* struct request.node: dispatch_hold() */
	unsigned n_leases, n_requests, n_output_leases, n_cancelled;
};

struct lease {
	uint32_t refs;
	struct dispatch *dispatch;
	uint64_t length;
	uint8_t data[];
};

/* A region: the double's handoff knows one, by DOUBLE_TOKEN, for callers from the loopback. */
#define DOUBLE_TOKEN "00112233445566778899aabbccddeeff"
struct region {
	unsigned refs;
	uint64_t size;
	bool writable;
};

struct handoff {
	struct region region;
	uint64_t counted; /* handoff_count_tensor() */
	struct handoff_counters counters;
};

struct output_lease {
	struct dispatch *dispatch;
	uint32_t refs;
	uint8_t data[4096];
};

struct request {
	struct list node;
	uint32_t refs;
	struct dispatch *dispatch;
	struct version *model;
	uint64_t deadline_ns;
	request_done_fn on_done;
	void (*on_end)(void *data); /* held; NULL: it is not */
	void *data;
	struct request_times times;
	uint32_t n_inputs, n_outputs, n_parameters;
	uint32_t outputs[8];
	char parameters[80][2][64];
	bool submitted;
	bool allows_partial;
	bool allows_excess;
	struct request_input inputs[8];
	struct request_target target; /* region NULL: none */
	uint64_t priority;
	uint64_t timeout_us;
};

/* request_new() is not told of a dispatch: the client is the one that the test has. */
static struct dispatch *double_dispatch;

static inline void double_dispatch_init(struct dispatch *d)
{
	memset(d, 0, sizeof(*d));
	list_init(&d->line);
	list_init(&d->queue);
	list_init(&d->held);
	list_init(&d->demands);
	d->demand_error = DEMAND_E_NOBODY;
	d->arena.limit = 1 << 20;
	double_dispatch = d;
}

static inline struct version *double_model(struct dispatch *d, const char *name)
{
	static const int64_t any[] = {-1};
	static const struct wire_declaration input = {.name = "INPUT", .any_shape = true};
	static const struct wire_declaration output = {
		.name = "OUTPUT", .dtype = DTYPE_F32, .rank = 1, .dims = any};
	struct version *m = &d->models[d->n_models];

	assert(d->n_models < DOUBLE_MODELS_MAX);
	*m = (struct version){
		.settings = {.name = name,
			.version = "1",
			.backend = "builtin",
			.max_queue_size = 10},
		.declared = {.ok = true,
			.inputs = &input,
			.n_inputs = 1,
			.outputs = &output,
			.n_outputs = 1,
			.memory_bytes = 77},
		.is_declared = true,
		.ready = true,
		.hopeful = true,
		.detail = "",
		.max_batch_size = 8,
		.id = (uint32_t)d->n_models,
	};
	d->n_models++;
	return m;
}

static inline struct worker *double_worker(struct dispatch *d, const char *name)
{
	struct worker *w = &d->pool.workers[d->pool.n++];

	*w = (struct worker){.name = name,
		.device = "cpu:0",
		.state = WORKER_READY,
		.pid = 1234,
		.generation = 2,
		.batches_done = 3,
		.restarts = 1,
		.last_exit = "",
		.sandbox = "",
		.slots = 2};
	return w;
}

/* Somebody gave space back: the first in line may try. False: nobody waits. */
static inline bool double_space(struct dispatch *d)
{
	struct list *node = list_first(&d->line);
	struct lease_waiter *w;

	if (!node)
		return false;
	list_remove(node);
	w = list_entry(node, struct lease_waiter, node);
	w->on_space(w);
	return true;
}

/* Who waits for a model to be loaded has waited long enough, or a model was declared. */
static inline void double_end_holds(struct dispatch *d)
{
	struct list *node;

	while ((node = list_first(&d->held))) {
		struct request *r = list_entry(node, struct request, node);
		void (*on_end)(void *data) = r->on_end;
		void *data = r->data;

		list_remove(node);
		r->on_end = NULL;
		request_unref(r);
		on_end(data);
	}
}

static inline struct request *double_nth(struct dispatch *d, unsigned n)
{
	list_for_each (&d->queue, node) {
		if (n-- == 0)
			return list_entry(node, struct request, node);
	}
	return NULL;
}

static inline unsigned double_queued(struct dispatch *d)
{
	unsigned n = 0;

	list_for_each (&d->queue, node)
		n++;
	return n;
}

/* Answer a submitted request in part. */
static inline void double_partial(
	struct request *r, const struct pool_output *output, struct output_lease *lease)
{
	const struct request_result result = {.partial = true,
		.message = "",
		.outputs = output,
		.n_outputs = 1,
		.lease = lease,
		.worker = "cpu:0/1",
		.device = "cpu:0",
		.batch_requests = 1,
		.times = r->times};

	assert(r->submitted && r->allows_partial);
	r->on_done(r->data, &result);
}

/* Answer a submitted request with n outputs. */
static inline void double_answer_all(struct request *r, enum grpc_status status,
	const char *message, const struct pool_output *outputs, size_t n,
	struct output_lease *lease)
{
	struct request_result result = {
		.status = status,
		.message = message,
		.outputs = outputs,
		.n_outputs = n,
		.targets = &r->target,
		.n_targets = r->target.region ? 1 : 0,
		.lease = lease,
		.worker = "cpu:0/1",
		.device = "cpu:0",
		.batch_requests = 3,
		.times = r->times,
	};

	list_remove(&r->node);
	result.times.submitted_ns = 1000000;
	result.times.dispatched_ns = 1250000;
	result.times.compute_ns = 42000;
	result.times.done_ns = clock_ns();
	r->submitted = false;
	r->on_done(r->data, &result);
	request_unref(r);
}

/* The same with one; output NULL: none. */
static inline void double_answer(struct request *r, enum grpc_status status, const char *message,
	const struct pool_output *output, struct output_lease *lease)
{
	double_answer_all(r, status, message, output, output ? 1 : 0, lease);
}

/* With one reference. */
static inline struct output_lease *double_lease_new(struct dispatch *d)
{
	struct output_lease *lease = __real_malloc(sizeof(*lease));

	*lease = (struct output_lease){.dispatch = d, .refs = 1};
	d->n_output_leases++;
	return lease;
}

/* Each input comes back as the output of its number. */
static inline void double_echo_all(struct request *r)
{
	struct output_lease *lease = double_lease_new(r->dispatch);
	struct pool_output outputs[8];
	size_t at = 0;

	assert(r->n_inputs <= 8);
	for (uint32_t i = 0; i < r->n_inputs; i++) {
		struct request_input *in = &r->inputs[i];

		assert(in->length <= sizeof(lease->data) - at);
		outputs[i] = (struct pool_output){.index = i,
			.dtype = in->dtype,
			.rank = in->rank,
			.data = lease->data + at,
			.length = in->length};
		memcpy(outputs[i].dims, in->dims, sizeof(in->dims));
		memcpy(lease->data + at, lease_at(in->lease, in->offset), in->length);
		at += in->length;
	}
	double_answer_all(r, GRPC_OK, "", outputs, r->n_inputs, lease);
	output_lease_unref(lease);
}

/* The identity model: the first input comes back. */
static inline void double_echo(struct request *r)
{
	struct request_input *in = &r->inputs[0];
	struct output_lease *lease = double_lease_new(r->dispatch);
	struct pool_output output = {
		.index = 0,
		.dtype = in->dtype,
		.rank = in->rank,
		.data = lease->data,
		.length = in->length,
	};

	assert(in->length <= sizeof(lease->data));
	memcpy(output.dims, in->dims, sizeof(output.dims));
	memcpy(lease->data, lease_at(in->lease, in->offset), in->length);
	double_answer(r, GRPC_OK, "", &output, lease);
	output_lease_unref(lease);
}

/* --- lease.h -------------------------------------------------------------------------------- */

/* The desk, the regions and the tally are the double itself. */
struct lease_desk *dispatch_desk(struct dispatch *d)
{
	return (struct lease_desk *)d;
}

uint64_t lease_max(const struct lease_desk *k)
{
	return ((const struct dispatch *)k)->arena.limit;
}

int lease_new(struct lease **ret_lease, struct lease_desk *k, struct client *c, uint64_t length,
	uint32_t numa_node)
{
	struct dispatch *d = (struct dispatch *)k;
	struct lease *l;

	(void)c;
	d->lease_numa_node = numa_node;
	if (d->lease_error)
		return d->lease_error;
	if (length > d->arena.limit)
		return LEASE_E_LARGE;
	l = malloc(sizeof(*l) + length);
	if (!l)
		return -ENOMEM;
	l->refs = 1;
	l->dispatch = d;
	l->length = length;
	d->n_leases++;
	*ret_lease = l;
	return 0;
}

int lease_new_at_once(struct lease **ret_lease, struct lease_desk *k, struct client *c,
	uint64_t length, uint32_t numa_node)
{
	return lease_new(ret_lease, k, c, length, numa_node);
}

struct lease *lease_ref(struct lease *l)
{
	l->refs++;
	return l;
}

struct lease *lease_unref(struct lease *l)
{
	if (!l || --l->refs > 0)
		return NULL;
	l->dispatch->n_leases--;
	free(l);
	return NULL;
}

void *lease_data(const struct lease *l)
{
	return (void *)l->data;
}

void *lease_at(const struct lease *l, uint64_t offset)
{
	return (void *)(l->data + offset);
}

bool lease_holds(const struct lease *l, uint64_t offset, uint64_t length)
{
	return offset <= l->length && length <= l->length - offset;
}

uint64_t lease_length(const struct lease *l)
{
	return l->length;
}

void lease_wait(struct lease_desk *k, struct lease_waiter *w, struct client *c, uint64_t length,
	uint32_t numa_node, void (*on_space)(struct lease_waiter *w))
{
	struct dispatch *d = (struct dispatch *)k;

	w->client = c;
	w->length = length;
	w->on_space = on_space;
	list_init(&w->node);
	list_push_back(&d->line, &w->node);
}

void lease_wait_cancel(struct lease_waiter *w)
{
	list_remove(&w->node);
}

/* --- region.h, handoff.h ------------------------------------------------------------------------ */

struct region *region_ref(struct region *r)
{
	r->refs++;
	return r;
}

struct region *region_unref(struct region *r)
{
	if (r)
		r->refs--;
	return NULL;
}

uint64_t region_size(const struct region *r)
{
	return r->size;
}

/* Regions on devices: one at a time, tried when the test says so. */
static struct double_device {
	struct region region;
	char device[32];
	uint8_t handle[WIRE_HANDLE_BYTES];
	uint64_t size;
	void (*on_gone)(void *data, int fd);
	void (*on_tried)(void *data, int e, const char *why);
	void *data;
	int try_error; /* what region_try() returns */
} double_device;

struct region_desk *dispatch_regions(struct dispatch *d)
{
	return (struct region_desk *)d;
}

const char *region_device(const struct region *r)
{
	return r == &double_device.region ? double_device.device : NULL;
}

int region_new_on_device(struct region **ret_region, struct region_desk *k, const char *device,
	const uint8_t *handle, uint64_t size, void (*on_gone)(void *data, int fd), void *data)
{
	struct double_device *d = &double_device;

	snprintf(d->device, sizeof(d->device), "%s", device);
	memcpy(d->handle, handle, sizeof(d->handle));
	d->region.refs = 1;
	d->region.size = d->size = size;
	d->on_gone = on_gone;
	d->data = data;
	*ret_region = &d->region;
	return 0;
}

int region_try(struct region *r, void (*on_tried)(void *data, int e, const char *why))
{
	double_device.on_tried = on_tried;
	return double_device.try_error;
}

int handoff_find(
	struct handoff *h, const struct peer *asker, const char *token, struct region **ret_region)
{
	if (!asker->loopback || strcmp(token, DOUBLE_TOKEN))
		return -ENOENT;
	*ret_region = region_ref(&h->region);
	return 0;
}

void handoff_count_tensor(struct handoff *h, uint64_t bytes)
{
	h->counted += bytes;
}

struct handoff_counters handoff_counters(const struct handoff *h)
{
	return h->counters;
}

/* --- request.h ------------------------------------------------------------------------------ */

int request_new(struct request **ret_request, struct version *model, const struct origin *origin,
	request_done_fn on_done, void *data)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	list_init(&r->node);
	r->refs = 1;
	r->dispatch = double_dispatch;
	r->model = model;
	r->deadline_ns = origin->deadline_ns;
	r->times.received_ns = origin->received_ns;
	r->on_done = on_done;
	r->data = data;
	r->n_inputs = model->is_declared ? (uint32_t)model->declared.n_inputs : 0;
	r->dispatch->n_requests++;
	*ret_request = r;
	return 0;
}

struct request *request_unref(struct request *r)
{
	if (!r || --r->refs > 0)
		return NULL;
	assert(!r->submitted);
	for (uint32_t i = 0; i < r->n_inputs; i++) {
		lease_unref(r->inputs[i].lease);
		region_unref(r->inputs[i].region);
	}
	region_unref(r->target.region);
	r->dispatch->n_requests--;
	free(r);
	return NULL;
}

struct request_input *request_input(struct request *r, uint32_t index)
{
	return index < r->n_inputs ? &r->inputs[index] : NULL;
}

int request_want_output(struct request *r, uint32_t index)
{
	for (uint32_t i = 0; i < r->n_outputs; i++) {
		if (r->outputs[i] == index)
			return -EEXIST;
	}
	r->outputs[r->n_outputs++] = index;
	return 0;
}

int request_set_target(
	struct request *r, uint32_t output, struct region *region, uint64_t offset, uint64_t length)
{
	r->target = (struct request_target){output, region_ref(region), offset, length};
	return 0;
}

const struct request_target *request_result_target(
	const struct request_result *result, const struct pool_output *output)
{
	if (output->data || result->n_targets == 0)
		return NULL;
	return result->targets->output == output->index ? result->targets : NULL;
}

int request_add_parameter(struct request *r, const char *key, const char *value)
{
	if (strlen(key) > WIRE_NAME_MAX || r->n_parameters >= WIRE_PAIRS_MAX)
		return -E2BIG;
	if (!utf8_valid(value, strlen(value)))
		return -EINVAL;
	snprintf(r->parameters[r->n_parameters][0], 64, "%.60s", key);
	snprintf(r->parameters[r->n_parameters++][1], 64, "%.60s", value);
	return 0;
}

enum grpc_status request_status(const struct request *r)
{
	return r->dispatch->refusal;
}

const char *request_message(const struct request *r)
{
	(void)r;
	return "refused by dispatch";
}

struct demand {
	struct list node;
	struct demand_wish wish;
};

int dispatch_demand(struct dispatch *d, const struct demand_wish *wish, struct demand **ret_demand)
{
	size_t n = strlen(d->demanded);

	if (d->demand_error)
		return d->demand_error;
	*ret_demand = calloc(1, sizeof(struct demand));
	if (!*ret_demand)
		return -ENOMEM;
	snprintf(d->demanded + n, sizeof(d->demanded) - n, "%s%s/%s", n ? " " : "", wish->model,
		wish->version);
	(*ret_demand)->wish = *wish;
	list_push_back(&d->demands, &(*ret_demand)->node);
	return 0;
}

struct demand *demand_free(struct demand *d)
{
	if (d)
		list_remove(&d->node);
	free(d);
	return NULL;
}

/* What was asked for is there, or will not be. */
static inline void double_end_demands(struct dispatch *d, enum grpc_status status, const char *text)
{
	struct list *node;

	while ((node = list_first(&d->demands))) {
		struct demand_wish wish = list_entry(node, struct demand, node)->wish;

		demand_free(list_entry(node, struct demand, node));
		wish.on_end(wish.data, status, text);
	}
}

int dispatch_hold(struct dispatch *d, struct request *r, void (*on_end)(void *data))
{
	if (!d->holds || r->model->is_declared)
		return DISPATCH_E_NOT_HELD;
	r->refs++;
	r->on_end = on_end;
	list_push_back(&d->held, &r->node);
	return 0;
}

void request_cancel(struct request *r)
{
	if (r->on_end) {
		r->on_end = NULL;
		r->dispatch->n_cancelled++;
		list_remove(&r->node);
		request_unref(r);
		return;
	}
	if (!r->submitted)
		return;
	r->submitted = false;
	r->dispatch->n_cancelled++;
	list_remove(&r->node);
	request_unref(r);
}

int dispatch_submit(struct dispatch *d, struct request *r)
{
	if (d->refusal != GRPC_OK)
		return DISPATCH_E_REFUSED;
	r->refs++;
	r->submitted = true;
	list_push_back(&d->queue, &r->node);
	return 0;
}

/* --- dispatch.h, model.h -------------------------------------------------------------------- */

struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n)
{
	if (n == 0)
		return d->default_model;
	for (size_t i = 0; i < d->n_models; i++) {
		const char *other = d->models[i].settings.name;

		if (strlen(other) == n && !memcmp(other, name, n))
			return &d->models[i];
	}
	return NULL;
}

uint32_t dispatch_numa_node(struct dispatch *d, const char *name, size_t n)
{
	return dispatch_find_version(d, name, n) ? d->numa_node : 0;
}

struct version *dispatch_find_number(
	struct dispatch *d, const char *name, size_t n, const char *number, size_t n_number)
{
	struct version *v = dispatch_find_version(d, name, n);

	return v && strlen(v->settings.version) == n_number &&
			       !memcmp(v->settings.version, number, n_number)
		       ? v
		       : NULL;
}

size_t dispatch_n_versions(const struct dispatch *d)
{
	return d->n_models;
}

struct version *dispatch_version(const struct dispatch *d, size_t i)
{
	return (struct version *)&d->models[i];
}

struct pool *dispatch_pool(const struct dispatch *d)
{
	return (struct pool *)&d->pool;
}

const struct arena *dispatch_arena(const struct dispatch *d)
{
	return &d->arena;
}

uint64_t dispatch_stalls(const struct dispatch *d)
{
	return 0;
}

uint32_t dispatch_load(const struct dispatch *d)
{
	return double_queued((struct dispatch *)d);
}

struct version_counters dispatch_counters(const struct dispatch *d)
{
	struct version_counters sum = {0};

	for (size_t i = 0; i < d->n_models; i++) {
		sum.requests_ok += d->models[i].counters.requests_ok;
		sum.requests_failed += d->models[i].counters.requests_failed;
		sum.batches += d->models[i].counters.batches;
		sum.total_ns += d->models[i].counters.total_ns;
	}
	return sum;
}

const struct version_settings *version_settings(const struct version *m)
{
	return &m->settings;
}

void request_allow_partial(struct request *r)
{
	r->allows_partial = true;
}

void request_allow_excess(struct request *r)
{
	r->allows_excess = true;
}

bool output_share_over(const struct client *c)
{
	return c->over_share;
}

bool dispatch_full(const struct dispatch *d, const struct client *c, const struct version *v)
{
	(void)c;
	(void)v;
	return d->full;
}

bool version_decoupled(const struct version *m)
{
	return version_declared(m) && version_declared(m)->decoupled;
}

const struct wire_loaded *version_declared(const struct version *m)
{
	return m->is_declared ? &m->declared : NULL;
}

uint32_t version_max_batch_size(const struct version *m)
{
	return m->max_batch_size;
}

bool version_ready(const struct version *m)
{
	return m->ready;
}

bool version_serving(const struct version *m)
{
	return version_ready(m);
}

bool version_hopeful(const struct version *m)
{
	return m->hopeful;
}

const char *version_state_name(const struct version *m)
{
	return m->ready ? "ready" : m->hopeful ? "loading" : "failed";
}

const char *version_remark(const struct version *m)
{
	return m->passed_over ? m->passed_over : "";
}

const char *version_detail(const struct version *m)
{
	return m->detail;
}

uint64_t version_memory_bytes(const struct version *m, const char *device)
{
	(void)device;
	return m->ready ? 1000 : 0;
}

uint64_t version_proven_ns(const struct version *m)
{
	return m->ready ? 1 : 0;
}

uint32_t version_workers_ready(const struct version *m)
{
	return m->ready ? 1 : 0;
}

bool version_placement(const struct version *m, size_t *i, struct pool_placement *ret_placement)
{
	if (*i >= m->n_placements)
		return false;
	*ret_placement = m->placements[(*i)++];
	return true;
}

uint32_t version_queue_depth(const struct version *m)
{
	return m->queue_depth;
}

const struct version_counters *version_counters(const struct version *m)
{
	return &m->counters;
}

void version_note_reply(struct version *m, uint64_t ns)
{
}

static int double_find(
	const struct wire_declaration *list, size_t n, const char *name, uint32_t *ret_index)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, name)) {
			*ret_index = (uint32_t)i;
			return 0;
		}
	}
	return -ENOENT;
}

int version_find_input(const struct version *m, const char *name, uint32_t *ret_index)
{
	return double_find(m->declared.inputs, m->declared.n_inputs, name, ret_index);
}

bool version_hides_input(const struct version *m, uint32_t index)
{
	(void)m;
	(void)index;
	return false;
}

bool version_hides_output(const struct version *m, uint32_t index)
{
	(void)m;
	(void)index;
	return false;
}

void request_set_queueing(struct request *r, uint64_t priority, uint64_t timeout_us)
{
	r->priority = priority;
	r->timeout_us = timeout_us;
}

bool request_finds_full(const struct request *r)
{
	return r->model->queue_depth >= r->model->settings.max_queue_size;
}

void request_set_id(struct request *r, const char *id, size_t n)
{
	(void)r;
	(void)id;
	(void)n;
}

int request_set_sequence(
	struct request *r, uint64_t number, const char *text, size_t n_text, bool start, bool end)
{
	(void)r;
	(void)number;
	(void)text;
	(void)n_text;
	(void)start;
	(void)end;
	return 0;
}

int version_find_output(const struct version *m, const char *name, uint32_t *ret_index)
{
	return double_find(m->declared.outputs, m->declared.n_outputs, name, ret_index);
}

/* --- pool.h, worker.h, arena.h -------------------------------------------------------------- */

/* Two GPUs, of the second nothing is known. */
const char *worker_quarantine(const struct worker *w)
{
	return "";
}

const char *worker_copies(const struct worker *w)
{
	return "";
}

size_t pool_gpus(const struct pool *p, struct nvml_gpu *ret_list, size_t cap)
{
	for (size_t i = 0; i < 2 && i < cap; i++) {
		int64_t figure = i ? NVML_UNKNOWN : 7;

		ret_list[i] = (struct nvml_gpu){.name = "GPU", .uuid = "GPU-1", .bus = "0:1"};
		ret_list[i].busy_percent = ret_list[i].memory_busy_percent = figure;
		ret_list[i].memory_total_bytes = ret_list[i].memory_used_bytes = figure;
		ret_list[i].power_mw = ret_list[i].energy_mj = figure;
		ret_list[i].temperature_c = ret_list[i].sm_clock_mhz = figure;
		ret_list[i].memory_clock_mhz = ret_list[i].ecc_uncorrected = figure;
		ret_list[i].recovery_action = ret_list[i].last_xid = figure;
	}
	return 2;
}

const char *pool_find_gpu(const struct pool *p, const char *gpu)
{
	for (size_t i = 0; i < p->n; i++) {
		if (!strncmp(p->workers[i].device, "cuda:", 5) &&
			!strcmp(p->workers[i].device + 5, gpu))
			return p->workers[i].device;
	}
	return NULL;
}

size_t pool_n_workers(const struct pool *p)
{
	return p->n;
}

bool worker_is_used(const struct worker *w)
{
	return true;
}

const struct pool_model_settings *worker_model(const struct worker *w)
{
	return w->model;
}

struct worker *pool_worker(const struct pool *p, size_t i)
{
	return (struct worker *)&p->workers[i];
}

const char *worker_state_name(enum worker_state s)
{
	static const char *const names[] = {
		"spawned", "loading", "ready", "draining", "stopping", "lost", "reaped"};

	return names[s];
}

/* Versions stay as long as the test; references are counted, to be zero at its end. */
struct version *version_ref(struct version *v)
{
	v->refs++;
	return v;
}

struct version *version_unref(struct version *v)
{
	if (v)
		v->refs--;
	return NULL;
}

const struct version *version_replaces(const struct version *v)
{
	return v->replaces;
}

bool version_held_by(const struct version *v, const struct worker *w)
{
	(void)v;
	return w->state == WORKER_READY;
}

uint32_t worker_free_slots(const struct worker *w)
{
	return w->state == WORKER_READY ? w->slots - w->in_flight : 0;
}

uint32_t worker_slots(const struct worker *w)
{
	return w->slots;
}

uint32_t worker_in_flight(const struct worker *w)
{
	return w->in_flight;
}

const char *worker_name(const struct worker *w)
{
	return w->name;
}

const char *worker_device(const struct worker *w)
{
	return w->device;
}

enum worker_state worker_get_state(const struct worker *w)
{
	return w->state;
}

int worker_pid(const struct worker *w)
{
	return w->pid;
}

uint64_t worker_generation(const struct worker *w)
{
	return w->generation;
}

uint64_t worker_batches_done(const struct worker *w)
{
	return w->batches_done;
}

uint32_t worker_output_segments(const struct worker *w)
{
	return 3;
}

uint64_t worker_output_mapped(const struct worker *w)
{
	return 300;
}

uint64_t worker_stayed_bytes(const struct worker *w)
{
	return 500;
}

uint64_t worker_restarts(const struct worker *w)
{
	return w->restarts;
}

uint64_t worker_ready_since_ns(const struct worker *w)
{
	return w->ready_since_ns;
}

const char *worker_last_exit(const struct worker *w)
{
	return w->last_exit;
}

struct worker_limits worker_limits(const struct worker *w)
{
	return w->limits;
}

struct group_use worker_use(const struct worker *w)
{
	return w->use;
}

const char *worker_sandbox(const struct worker *w)
{
	return w->sandbox;
}

uint64_t worker_restart_at_ns(const struct worker *w)
{
	return w->restart_at_ns;
}

struct output_lease *output_lease_ref(struct output_lease *l)
{
	l->refs++;
	return l;
}

struct output_lease *output_lease_unref(struct output_lease *l)
{
	if (!l || --l->refs > 0)
		return NULL;
	l->dispatch->n_output_leases--;
	free(l);
	return NULL;
}

uint64_t arena_used(const struct arena *a)
{
	return a->used;
}

struct arena_memory arena_memory(const struct arena *a)
{
	return a->memory;
}

uint64_t arena_limit(const struct arena *a)
{
	return a->limit;
}

#endif
