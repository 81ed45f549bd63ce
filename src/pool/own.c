/*
 * own.c: places for workers of models' own, who has them, and who waits for some.
 *
 * Invariants: a place is somebody's from take() until own_sweep() or own_free() finds it left and without a
 * process; pool.n_workers is behind the last that is used. Daemon process, loop thread.
 */
#include "pool/own.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/program.h"
#include "pool/worker_private.h"

/* --- Places ----------------------------------------------------------------------------------- */

/* Of who had the place only what others may still go by: its processes are not those of the next one. */
static void clear(struct worker *w, struct pool *p, uint32_t index)
{
	*w = (struct worker){.pool = p,
		.index = index,
		.own = true,
		.device = "",
		.state = WORKER_REAPED,
		.generation = w->generation,
		.n_bound = w->n_bound};
	list_init(&w->spare);
	list_init(&w->in_flight);
	list_init(&w->busy);
	list_init(&w->to_load);
}

void own_make(struct pool *p)
{
	p->max_workers = p->n_shared + p->settings->max_model_workers;
	for (size_t i = p->n_shared; i < p->max_workers; i++)
		clear(&p->workers[i], p, (uint32_t)i);
	p->n_all = p->max_workers;
}

static void note_last(struct pool *p)
{
	p->n_workers = p->max_workers;
	while (p->n_workers > p->n_shared && !p->workers[p->n_workers - 1].model)
		p->n_workers--;
}

static void give_back(struct worker *w)
{
	struct pool *p = w->pool;
	struct pool_model *m = w->model;

	assert(w->state == WORKER_REAPED && w->n_in_flight == 0);
	m->n_own--;
	p->n_leaving -= w->leaving;
	p->n_own--;
	worker_deinit(w);
	clear(w, p, w->index);
	note_last(p);
	if (m->retired && m->n_own == 0)
		pool_model_changed(m);
}

static struct worker *find_free(struct pool *p)
{
	for (size_t i = p->n_shared; i < p->max_workers; i++) {
		if (!p->workers[i].model)
			return &p->workers[i];
	}
	return NULL;
}

/* One of the device. There is a free place (asserted). */
static int take(struct pool_model *m, uint32_t device_index)
{
	struct pool *p = m->pool;
	const char *device = p->devices[device_index];
	struct worker *w = find_free(p);
	char name[24];
	int r;

	assert(w);
	snprintf(name, sizeof(name), "own-%zu", w->index - p->n_shared);
	w->holding = calloc(1, sizeof(*w->holding));
	r = w->holding ? worker_init(w, p, w->index, device, device_index, name) : -ENOMEM;
	if (r) {
		worker_deinit(w);
		clear(w, p, w->index);
		return r;
	}
	w->model = m;
	holding_init(w->holding, m, device);
	m->n_own++;
	p->n_own++;
	note_last(p);
	w->restart_at_ns = clock_ns();
	log_info("worker of a model's own", "worker=%s model=%s version=%s", w->name,
		m->settings->name, m->settings->version);
	return 0;
}

/* But those that are leaving, which still have processes. */
static void give_all_back(struct pool_model *m)
{
	struct pool *p = m->pool;

	for (size_t i = p->n_shared; i < p->max_workers; i++) {
		if (p->workers[i].model == m && !p->workers[i].leaving)
			give_back(&p->workers[i]);
	}
}

void own_free(struct pool_model *m)
{
	struct pool *p = m->pool;

	p->n_waiting -= m->waits;
	m->waits = false;
	give_all_back(m);
	for (size_t i = p->n_shared; i < p->max_workers && m->n_own > 0; i++) {
		if (p->workers[i].model == m)
			give_back(&p->workers[i]);
	}
}

/* --- Who has them ------------------------------------------------------------------------------ */

bool own_is_meant(const struct pool_model *m)
{
	return m->settings->isolation == ISOLATION_MODEL ||
	       program_find(m->pool->settings, m->settings->backend);
}

static uint32_t n_shared_on(const struct pool *p, uint32_t device_index)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p->n_shared; i++)
		n += p->workers[i].device_index == device_index && worker_counts(&p->workers[i]);
	return n;
}

/* As many as models share there; of a program that its backend names, one an instance. */
static uint32_t processes(const struct pool_model *m, uint32_t device_index)
{
	const char *device = m->pool->devices[device_index];
	uint32_t n;

	/* Those to fall back to are there ahead of need, with nothing loaded. */
	if (!pool_model_on(m, device) && !pool_model_falls_to(m, device))
		return 0;
	if (!m->program)
		return n_shared_on(m->pool, device_index);
	n = pool_model_instances(m, device);
	return n > 0 ? n : 1;
}

static uint32_t needed(const struct pool_model *m)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < m->pool->n_devices; k++)
		n += processes(m, k);
	return n;
}

/* All that it needs, or none. */
static int take_all(struct pool_model *m)
{
	int r = 0;

	for (uint32_t k = 0; k < m->pool->n_devices; k++) {
		for (uint32_t i = 0; i < processes(m, k) && !r; i++)
			r = take(m, k);
	}
	if (r)
		give_all_back(m);
	return r;
}

bool own_may_come(const struct pool_model *m)
{
	const struct pool *p = m->pool;

	return m->waits && !m->retired && !p->draining &&
	       needed(m) <= p->settings->max_model_workers - p->n_own + p->n_leaving;
}

const char *own_format_wait(const struct pool_model *m, char *out, size_t cap)
{
	const struct pool *p = m->pool;

	snprintf(out, cap,
		"it needs %" PRIu32 " worker processes of its own, and %" PRIu32
		" of [worker] max_model_workers = %" PRIu32 " are taken",
		needed(m), p->n_own, p->settings->max_model_workers);
	return out;
}

/* m waits: give it what it needs, or say why it has to go on waiting. */
static void look(struct pool_model *m)
{
	struct pool *p = m->pool;
	int r = 0;

	m->error[0] = '\0';
	if (needed(m) <= p->settings->max_model_workers - p->n_own) {
		p->n_waiting--;
		m->waits = false;
		r = take_all(m);
		if (r) {
			m->waits = true;
			p->n_waiting++;
		}
	}
	if (r)
		snprintf(m->error, sizeof(m->error), "no memory for worker processes of its own");
	else if (m->waits && !own_may_come(m))
		own_format_wait(m, m->error, sizeof(m->error));
	pool_model_changed(m);
	pool_soon(p);
}

static void look_at_all(struct pool *p)
{
	list_for_each (&p->models, node) {
		struct pool_model *m = list_entry(node, struct pool_model, node);

		if (p->n_waiting == 0)
			return;
		if (m->waits)
			look(m);
	}
}

void own_begin(struct pool_model *m)
{
	m->program = program_find(m->pool->settings, m->settings->backend);
	m->isolated = true;
	m->waits = true;
	m->pool->n_waiting++;
	look(m);
}

bool own_try(struct pool_model *m)
{
	const struct pool *p = m->pool;

	return needed(m) <= p->settings->max_model_workers - p->n_own && !take_all(m);
}

static void leave(struct worker *w)
{
	struct pool_model *m = w->model;

	if (!w->leaving)
		w->pool->n_leaving++;
	w->leaving = true;
	w->restart_at_ns = 0;
	list_remove(&w->holding->load_node);
	if (w->state == WORKER_REAPED)
		pool_soon(w->pool);
	else if (w->holding->state == HOLDING_LOADED)
		worker_unload(w, m);
	else if (w->holding->state != HOLDING_LEAVING)
		worker_drain(w);
}

void own_leave(struct pool_model *m)
{
	struct pool *p = m->pool;

	p->n_waiting -= m->waits;
	m->waits = false;
	for (size_t i = p->n_shared; i < p->n_workers; i++) {
		if (p->workers[i].model == m)
			leave(&p->workers[i]);
	}
	look_at_all(p);
}

/* Those that m has, and that are not about to end; `with`: whom somebody is bound to. */
static bool has_some(const struct pool_model *m, bool with)
{
	const struct pool *p = m->pool;

	for (size_t i = p->n_shared; i < p->n_workers; i++) {
		const struct worker *w = &p->workers[i];

		if (w->model == m && !w->leaving && (!with || w->n_bound > 0))
			return true;
	}
	return false;
}

/* Is anybody new to be bound to them? */
static void set_replaced(struct pool_model *m, bool replaced)
{
	struct pool *p = m->pool;

	for (size_t i = p->n_shared; i < p->n_workers; i++) {
		if (p->workers[i].model == m)
			p->workers[i].replaced = replaced;
	}
}

void own_relieve(struct pool_model *m)
{
	set_replaced(m, true);
	if (!has_some(m, true))
		own_leave(m);
}

bool own_stay(struct pool_model *m)
{
	set_replaced(m, false);
	return has_some(m, false);
}

void own_sweep(struct pool *p)
{
	bool any = false;

	for (size_t i = p->n_shared; i < p->n_workers && p->n_leaving > 0; i++) {
		struct worker *w = &p->workers[i];

		if (!w->leaving || w->state != WORKER_REAPED || w->n_in_flight > 0)
			continue;
		give_back(w);
		any = true;
	}
	if (any)
		look_at_all(p);
}

/* --- Their processes --------------------------------------------------------------------------- */

void own_wake(struct pool_model *m, uint32_t device_index)
{
	struct pool *p = m->pool;

	for (size_t i = p->n_shared; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		if (w->model != m || w->device_index != device_index)
			continue;
		if (w->state != WORKER_REAPED || w->restart_at_ns > 0 || w->leaving || p->draining)
			continue;
		w->restart_at_ns = clock_ns();
		pool_soon(p);
	}
}
