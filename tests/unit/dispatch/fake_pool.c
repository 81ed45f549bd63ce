/* fake_pool.c: a pool without processes, driven by the test. */
#include "fake_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

int pool_new(struct pool **ret_pool, uv_loop_t *loop, const struct pool_settings *settings,
	const struct pool_events *events, void *data)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->compute_ns = 1000;
	p->events = events;
	p->data = data;
	for (size_t i = 0; i < settings->n_places; i++) {
		for (uint32_t k = 0; k < settings->places[i].count; k++) {
			struct worker *w = &p->workers[p->n_workers++];

			assert(p->n_workers <= FAKE_WORKERS_MAX);
			w->pool = p;
			w->slots = settings->slots;
			snprintf(w->device, sizeof(w->device), "%s", settings->places[i].device);
			snprintf(w->name, sizeof(w->name), "%s/%u", settings->places[i].device, k);
		}
	}
	*ret_pool = p;
	return 0;
}

int pool_start(struct pool *p)
{
	if (p->start_error)
		return p->start_error;
	p->started = true;
	return 0;
}

void pool_drain(struct pool *p)
{
	assert(fake_n_runs(p, NULL) == 0);
	p->draining = true;
}

void pool_kill(struct pool *p)
{
	p->killed = true;
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	assert(fake_n_runs(p, NULL) == 0 && p->output_leases == 0 && p->regions == 0);
	free(p);
	return NULL;
}

void pool_flush(struct pool *p)
{
	p->flushes++;
}

bool pool_waits_for_more(struct pool *p)
{
	return p->waits_for_more;
}

size_t pool_n_workers(const struct pool *p)
{
	return p->n_workers;
}

size_t pool_max_workers(const struct pool *p)
{
	return p->n_workers;
}

struct worker *pool_worker(const struct pool *p, size_t i)
{
	assert(i < p->n_workers);
	return (struct worker *)&p->workers[i];
}

int pool_model_new(struct pool_model **ret_model, struct pool *p,
	const struct pool_model_settings *settings, void *owner)
{
	struct pool_model *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	assert(p->n_models < FAKE_MODELS_MAX);
	*m = (struct pool_model){
		.pool = p, .settings = settings, .owner = owner, .id = (uint32_t)p->n_models};
	p->models[p->n_models++] = m;
	*ret_model = m;
	return 0;
}

void pool_model_retire(struct pool_model *m)
{
	assert(!m->retired);
	m->retired = true;
	for (size_t i = 0; i < m->pool->n_workers; i++)
		m->pool->workers[i].holds[m->id] = false;
}

struct pool_model *pool_model_free(struct pool_model *m)
{
	if (!m)
		return NULL;
	for (size_t i = 0; i < m->pool->n_runs; i++)
		assert(!m->pool->runs[i].worker || m->pool->runs[i].model != m);
	m->pool->models[m->id] = NULL;
	free(m);
	return NULL;
}

uint32_t pool_model_id(const struct pool_model *m)
{
	return m->id;
}

bool pool_has_numa(const struct pool *p)
{
	return p->workers[0].numa_node > 0;
}

uint32_t pool_model_numa_node(const struct pool_model *m)
{
	return worker_holds(&m->pool->workers[0], m) ? m->pool->workers[0].numa_node : 0;
}

uint32_t pool_model_ready(const struct pool_model *m)
{
	const struct pool *p = m->pool;
	uint32_t n = 0;

	for (size_t i = 0; i < p->n_workers; i++)
		n += worker_holds(&p->workers[i], m);
	return n;
}

uint32_t pool_model_hopeful(const struct pool_model *m)
{
	return m->pool->hopeless[m->id] ? 0 : (uint32_t)m->pool->n_workers;
}

uint64_t pool_model_memory(const struct pool_model *m, const char *device)
{
	(void)m;
	(void)device;
	return 0;
}

bool pool_model_placement(
	const struct pool_model *m, size_t *i, struct pool_placement *ret_placement)
{
	for (; *i < m->pool->n_workers; ++*i) {
		const struct worker *w = &m->pool->workers[*i];

		if (!w->holds[m->id])
			continue;
		*ret_placement = (struct pool_placement){
			.worker = w, .instances = worker_n_lanes(w, m), .state = "ready"};
		++*i;
		return true;
	}
	return false;
}

uint32_t pool_model_failed(const struct pool_model *m)
{
	return m->pool->hopeless[m->id] ? (uint32_t)m->pool->n_workers : 0;
}

void pool_model_retry(struct pool_model *m)
{
	m->pool->hopeless[m->id] = false;
}

const char *pool_model_detail(struct pool_model *m)
{
	const char *detail = m->pool->detail[m->id];

	return detail ? detail : "";
}

uint64_t pool_model_busy_ns(const struct pool_model *m, uint64_t now_ns)
{
	return m->pool->busy_ns[m->id];
}

const struct wire_loaded *pool_model_loaded(const struct pool_model *m)
{
	return m->pool->loaded[m->id];
}

bool worker_holds(const struct worker *w, const struct pool_model *m)
{
	return w->ready && w->holds[m->id];
}

uint32_t worker_free_slots(const struct worker *w)
{
	return w->ready ? w->slots - w->in_flight : 0;
}

enum worker_state worker_get_state(const struct worker *w)
{
	return w->ready ? WORKER_READY : WORKER_REAPED;
}

const char *worker_state_name(enum worker_state s)
{
	return s == WORKER_READY ? "ready" : "reaped";
}

struct lane_backlog worker_lane_backlog(
	const struct worker *w, const struct pool_model *m, uint64_t now_ns)
{
	assert(w->holds[m->id]);
	return w->lanes[m->id];
}

struct lane_backlog worker_backlog_of_lane(
	const struct worker *w, const struct pool_model *m, uint32_t lane, uint64_t now_ns)
{
	struct lane_backlog backlog = {0};

	assert(w->holds[m->id] && lane < worker_n_lanes(w, m));
	for (size_t i = 0; i < w->pool->n_runs; i++) {
		const struct fake_run *run = &w->pool->runs[i];

		if (run->worker != w || run->model != m || run->lane != lane)
			continue;
		backlog.n++;
		backlog.ns += run->expect_ns;
	}
	return backlog;
}

uint32_t worker_n_lanes(const struct worker *w, const struct pool_model *m)
{
	return worker_holds(w, m) ? w->n_lanes + !w->n_lanes : 0;
}

void worker_bind(struct worker *w)
{
	w->n_bound++;
}

void worker_unbind(struct worker *w)
{
	assert(w->n_bound-- > 0);
}

bool worker_is_ending(const struct worker *w)
{
	return w->ending;
}

uint64_t worker_generation(const struct worker *w)
{
	return w->generation;
}

uint64_t worker_backlog_ns(const struct worker *w, uint64_t now_ns)
{
	return w->backlog_ns;
}

bool worker_is_loading(const struct worker *w)
{
	return w->loading;
}

uint32_t worker_in_flight(const struct worker *w)
{
	return w->in_flight;
}

const char *worker_name(const struct worker *w)
{
	return w->name;
}

const char *worker_loss(struct worker *w)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s (%s)", w->name, w->loss ? w->loss : "signal 6 (Aborted)");
	return text;
}

const char *worker_device(const struct worker *w)
{
	return w->device;
}

bool worker_imports(const struct worker *w)
{
	return w->imports;
}

int worker_run(struct worker *w, const struct pool_batch *b)
{
	struct pool_model *m = b->model;
	struct fake_run *run = &w->pool->runs[w->pool->n_runs];

	if (w->run_error)
		return w->run_error;
	assert(worker_holds(w, m) && !m->retired && worker_free_slots(w) > 0);
	assert(w->pool->n_runs < FAKE_RUNS_MAX && b->n_items > 0 && b->n_items <= WIRE_ITEMS_MAX);
	run->tag = b->tag;
	run->cancelled = false;
	run->worker = w;
	run->model = m;
	run->expect_ns = b->expect_ns;
	run->lane_asked = b->lane ? &run->lane : NULL;
	run->lane = b->lane ? *b->lane : 0;
	run->n_items = b->n_items;
	for (size_t i = 0; i < b->n_items; i++)
		run->rows[i] = b->items[i].n_inputs ? b->items[i].inputs[0].dims[0] : 0;
	w->pool->last_item = &b->items[0];
	w->pool->n_runs++;
	w->in_flight++;
	w->lanes[m->id].n++;
	w->lanes[m->id].ns += b->expect_ns;
	w->backlog_ns += b->expect_ns;
	w->n_runs++;
	return 0;
}

void worker_cancel(struct worker *w, const void *tag)
{
	size_t n = 0;

	for (size_t i = 0; i < w->pool->n_runs; i++) {
		struct fake_run *run = &w->pool->runs[i];

		if (run->worker != w || run->tag != tag)
			continue;
		assert(!run->cancelled);
		run->cancelled = true;
		n++;
	}
	assert(n == 1);
}

int pool_memory_new(struct pool_memory **ret_memory, struct pool *p, uint64_t id, int fd,
	uint64_t size, bool writable, void (*on_gone)(void *data), void *data)
{
	struct pool_memory *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	assert(size > 0);
	*r = (struct pool_memory){.pool = p, .id = id, .fd = fd, .on_gone = on_gone, .data = data};
	if (id & WIRE_REGION_BIT) {
		p->region = r;
		p->regions++;
	} else {
		p->segments++;
	}
	*ret_memory = r;
	return 0;
}

int pool_memory_import(struct pool_memory **ret_memory, struct pool *p, uint64_t id,
	const struct pool_import *import, void (*on_gone)(void *data), void *data)
{
	int r = pool_memory_new(ret_memory, p, id, import->handle ? -1 : import->fd, import->size,
		import->writable, on_gone, data);

	if (!r)
		(*ret_memory)->handle = import->handle;
	return r;
}

int pool_memory_try(struct pool_memory *m, const char *device,
	void (*on_tried)(void *data, int e, const char *why))
{
	assert((m->handle || m->fd >= 0) && !m->tried_on);
	m->tried_on = device;
	m->on_tried = on_tried;
	return 0;
}

void pool_memory_free(struct pool_memory *r)
{
	assert(!r->freed);
	r->freed = true;
	if (r->id & WIRE_REGION_BIT)
		return;
	r->next = r->pool->leaving;
	r->pool->leaving = r;
}

void pool_memory_drop(struct pool_memory *r)
{
	if (!r)
		return;
	assert(!r->freed && !(r->id & WIRE_REGION_BIT));
	r->pool->segments--;
	free(r);
}

void pool_dispose(struct pool *p, int fd)
{
	close(fd);
	p->disposed++;
}

void fake_segments_gone(struct pool *p)
{
	while (p->leaving) {
		struct pool_memory *r = p->leaving;

		p->leaving = r->next;
		p->segments--;
		r->on_gone(r->data);
		free(r);
	}
}

void fake_region_gone(struct pool *p)
{
	struct pool_memory *r = p->region;

	assert(r && r->freed);
	p->region = NULL;
	p->regions--;
	r->on_gone(r->data);
	free(r);
}

struct output_lease *output_lease_ref(struct output_lease *l)
{
	l->refs++;
	l->pool->output_leases++;
	return l;
}

struct output_lease *output_lease_unref(struct output_lease *l)
{
	if (!l)
		return NULL;
	l->pool->output_leases--;
	if (--l->refs > 0)
		return NULL;
	if (l->charge)
		l->charge->on_end(l->data, l->bytes);
	free(l);
	return NULL;
}

uint64_t output_lease_charge(struct output_lease *l, const struct output_charge *charge, void *data)
{
	if (l->refs == 1 || l->charge)
		return 0;
	l->charge = charge;
	l->data = data;
	return l->bytes;
}

void fake_declare(struct pool *p, uint32_t model, const struct wire_loaded *loaded)
{
	p->loaded[model] = loaded;
	for (size_t i = 0; i < p->n_workers; i++)
		p->workers[i].holds[model] = true;
}

static void tell_models(struct pool *p)
{
	for (size_t i = 0; i < p->n_models; i++) {
		if (p->models[i] && !p->models[i]->retired)
			p->events->on_model(p->data, p->models[i]->owner);
	}
}

void fake_load(struct pool *p, uint32_t model, const struct wire_loaded *loaded)
{
	fake_declare(p, model, loaded);
	p->events->on_model(p->data, p->models[model]->owner);
	p->events->on_credit(p->data);
}

void fake_fail(struct pool *p, uint32_t model, const char *detail)
{
	p->hopeless[model] = true;
	p->detail[model] = detail;
	p->events->on_model(p->data, p->models[model]->owner);
}

void fake_gone(struct pool *p, uint32_t model)
{
	assert(p->models[model]->retired);
	p->events->on_model_gone(p->data, p->models[model]->owner);
}

void fake_start(struct pool *p)
{
	for (size_t i = 0; i < p->n_workers; i++)
		p->workers[i].ready = true;
	tell_models(p);
	p->events->on_credit(p->data);
	p->events->on_started(p->data);
}

void fake_set_ready(struct worker *w, bool ready)
{
	struct pool *p = w->pool;

	w->ready = ready;
	tell_models(p);
	if (ready)
		p->events->on_credit(p->data);
}

size_t fake_n_runs(const struct pool *p, const struct worker *w)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_runs; i++)
		n += p->runs[i].worker && (!w || p->runs[i].worker == w);
	return n;
}

struct fake_run *fake_first(struct pool *p, const struct worker *w)
{
	for (size_t i = 0; i < p->n_runs; i++) {
		if (p->runs[i].worker && (!w || p->runs[i].worker == w))
			return &p->runs[i];
	}
	return NULL;
}

static void *take(struct fake_run *run)
{
	struct worker *w = run->worker;
	struct lane_backlog *lane;

	assert(w);
	lane = &w->lanes[run->model->id];
	w->in_flight--;
	lane->n--;
	lane->ns -= run->expect_ns;
	w->backlog_ns -= run->expect_ns;
	run->worker = NULL;
	return run->tag;
}

static const uint8_t bytes[4] = {1, 2, 3, 4};
static const struct pool_output output = {
	.dtype = DTYPE_I32, .rank = 1, .dims = {1}, .data = bytes, .length = 4};

static struct output_lease *lease_new(struct pool *p)
{
	struct output_lease *lease = malloc(sizeof(*lease));

	assert(lease);
	*lease = (struct output_lease){
		.pool = p, .refs = 1, .bytes = p->output_bytes ? p->output_bytes : 4};
	p->output_leases++;
	return lease;
}

static void tell_partial(struct pool *p, struct fake_run *run, size_t item, bool last)
{
	struct output_lease *lease = lease_new(p);
	const struct pool_result result = {
		.message = "", .outputs = &output, .n_outputs = 1, .lease = lease};

	p->events->on_partial(p->data, run->tag,
		&(struct pool_partial){.worker = run->worker,
			.item = item,
			.result = &result,
			.last = last,
			.now_ns = clock_ns(),
			.compute_ns = last ? p->compute_ns : 0});
	output_lease_unref(lease);
}

void fake_partial(struct pool *p, struct fake_run *run, size_t item)
{
	tell_partial(p, run, item, false);
}

void fake_early(struct pool *p, struct fake_run *run, size_t item)
{
	tell_partial(p, run, item, true);
}

void fake_more(struct output_lease *l, uint64_t n)
{
	l->bytes += n;
	l->charge->on_more(l->data, n);
}

static void finish(struct pool *p, struct fake_run *run, uint32_t code, size_t n_results)
{
	struct pool_result *results = calloc(WIRE_ITEMS_MAX, sizeof(*results));
	struct pool_done done = {.worker = run->worker,
		.now_ns = clock_ns(),
		.compute_ns = p->compute_ns,
		.results = results};

	assert(results);
	done.n_results = n_results;
	for (size_t i = 0; i < done.n_results; i++)
		results[i] = (struct pool_result){.code = code,
			.message = code ? "the backend failed" : "",
			.outputs = &output,
			.n_outputs = code ? 0 : 1,
			.joined = (uint32_t)run->n_items,
			.lease = code ? NULL : lease_new(p)};
	p->events->on_done(p->data, take(run), &done);
	for (size_t i = 0; i < done.n_results; i++)
		output_lease_unref(results[i].lease);
	free(results);
	p->events->on_credit(p->data);
}

void fake_done(struct pool *p, struct fake_run *run, uint32_t code)
{
	finish(p, run, code, run->n_items);
}

void fake_done_short(struct pool *p, struct fake_run *run, size_t n_results)
{
	finish(p, run, 0, n_results);
}

void fake_lose(struct worker *w)
{
	fake_lose_how(w, LOST_SUSPECT);
}

void fake_lose_how(struct worker *w, enum lost how)
{
	struct pool *p = w->pool;
	struct fake_run *run;

	w->ready = false;
	while ((run = fake_first(p, w)))
		p->events->on_lost(p->data, take(run), w, how);
	tell_models(p);
}

void fake_drained(struct pool *p)
{
	for (size_t i = 0; i < p->n_workers; i++)
		fake_lose(&p->workers[i]);
	p->events->on_drained(p->data);
}
