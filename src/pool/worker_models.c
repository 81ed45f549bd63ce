/*
 * worker_models.c: what one worker is told to load and to unload, and what it says of it.
 *
 * What it has of a model is the model's business to remember (struct holding), so that a worker costs the
 * same however many models came and went. Daemon process, loop thread.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define for_each_model(p, m)                                                                       \
	for (struct pool_model *m = list_entry((p)->models.next, struct pool_model, node);         \
		&m->node != &(p)->models; m = list_entry(m->node.next, struct pool_model, node))

/* By a process that starts now. */
static bool is_to_load(const struct worker *w, struct pool_model *m)
{
	const struct holding *h = &m->holdings[w->index];

	return h->state == HOLD_NONE && h->wanted && !m->retired &&
	       breaker_admits(pool_breaker(m, w->device_index), w);
}

uint32_t worker_n_loads(const struct worker *w)
{
	uint32_t n = 0;

	for_each_model(w->pool, m) n += is_to_load(w, m);
	return n;
}

static void load(struct worker *w, struct pool_model *m)
{
	const struct pool_model_settings *s = m->settings;

	breaker_try(pool_breaker(m, w->device_index), w);
	m->holdings[w->index].failed = false;
	pool_set_hold(m, w, HOLD_LOADING);
	if (w->n_loading++ == 0)
		w->load_ns = clock_ns();
	worker_tell(w, &(struct wire_message){.type = WIRE_LOAD,
			       .load = {
				       .model = m->id,
				       .name = s->name,
				       .version = s->version,
				       .path = s->path,
				       .backend = s->backend,
				       .max_batch_size = s->max_batch_size,
				       .parameters = s->parameters,
				       .n_parameters = s->n_parameters,
				       .instances = s->instances,
			       }});
	pool_arm(w->pool, worker_deadline(w));
}

void worker_load_all(struct worker *w)
{
	for_each_model(w->pool, m)
	{
		if (is_to_load(w, m))
			load(w, m);
	}
}

/* One at a time, so that what is at the front is always known. */
void worker_load_next(struct worker *w)
{
	if (w->state != WORKER_READY || w->n_loading > 0)
		return;
	for_each_model(w->pool, m)
	{
		if (m->holdings[w->index].failed || !is_to_load(w, m))
			continue;
		load(w, m);
		return;
	}
}

static bool runs(const struct worker *w, const struct pool_model *m)
{
	list_for_each (&w->in_flight, node) {
		if (list_entry(node, struct flight, node)->model == m)
			return true;
	}
	return false;
}

void worker_unload(struct worker *w, struct pool_model *m)
{
	if (m->holdings[w->index].state != HOLD_HELD)
		return;
	pool_set_hold(m, w, HOLD_LEAVING);
	w->n_leaving++;
	worker_unload_idle(w);
}

void worker_unload_idle(struct worker *w)
{
	if (w->state != WORKER_READY || w->n_leaving == 0)
		return;
	for_each_model(w->pool, m)
	{
		if (m->holdings[w->index].state != HOLD_LEAVING || runs(w, m))
			continue;
		w->n_leaving--;
		pool_set_hold(m, w, HOLD_UNLOADING);
		worker_tell(
			w, &(struct wire_message){.type = WIRE_UNLOAD, .unload = {.model = m->id}});
	}
}

struct pool_model *worker_loading(const struct worker *w)
{
	for_each_model(w->pool, m)
	{
		if (m->holdings[w->index].state == HOLD_LOADING)
			return m;
	}
	return NULL;
}

/* As many lanes as the worker says. NULL: fine; else what it has (static). */
static const char *make_lanes(struct worker *w, struct pool_model *m, const struct wire_loaded *l)
{
	struct holding *h = &m->holdings[w->index];
	uint32_t asked = m->settings->instances > 0 ? m->settings->instances : WIRE_LANES_FREE;
	uint32_t n = l->lanes > 0 ? l->lanes : 1;

	if (!l->ok)
		return NULL;
	if (n > asked)
		return "more lanes than it was to have";
	h->lanes = calloc(n, sizeof(*h->lanes));
	if (!h->lanes)
		return "lanes, for which the daemon has no memory";
	h->n_lanes = n;
	for (uint32_t i = 0; i < n; i++)
		lane_init(&h->lanes[i], i);
	return NULL;
}

static void drop_lanes(struct worker *w, struct pool_model *m)
{
	struct holding *h = &m->holdings[w->index];

	free(h->lanes);
	h->lanes = NULL;
	h->n_lanes = 0;
}

void worker_on_loaded(struct worker *w, const struct wire_loaded *l)
{
	struct pool_model *m = pool_find_model(w->pool, l->model);
	struct holding *h = m ? &m->holdings[w->index] : NULL;
	const char *wrong;

	if (!h || h->state != HOLD_LOADING) {
		worker_lose(w, WORKER_MISBEHAVED, "loaded: model %" PRIu32 " was not to be loaded",
			l->model);
		return;
	}
	wrong = make_lanes(w, m, l);
	if (wrong) {
		worker_lose(w, WORKER_MISBEHAVED, "loaded: model '%s' has %s", m->settings->name,
			wrong);
		return;
	}
	w->n_loading--;
	w->load_ns = w->heard_ns;
	h->failed = pool_loaded(m, w, l) || !l->ok;
	pool_set_hold(m, w, l->ok ? HOLD_HELD : HOLD_NONE);
	/* The breaker may have opened meanwhile. */
	if (h->failed || m->retired || !breaker_admits(pool_breaker(m, w->device_index), w))
		worker_unload(w, m);
	if (h->state == HOLD_HELD && w->state == WORKER_READY)
		w->credit = true;
	worker_load_next(w);
}

void worker_on_unloaded(struct worker *w, const struct wire_unloaded *u)
{
	struct pool_model *m = pool_find_model(w->pool, u->model);

	if (!m || m->holdings[w->index].state != HOLD_UNLOADING) {
		worker_lose(w, WORKER_MISBEHAVED,
			"unloaded: model %" PRIu32 " was not to be unloaded", u->model);
		return;
	}
	log_debug("model unloaded", "model=%s version=%s worker=%s memory_bytes=%" PRIu64,
		m->settings->name, m->settings->version, w->name, u->memory_bytes);
	drop_lanes(w, m);
	pool_set_hold(m, w, HOLD_NONE);
	worker_load_next(w);
}

void worker_forget_models(struct worker *w)
{
	for_each_model(w->pool, m)
	{
		breaker_leave(pool_breaker(m, w->device_index), w);
		drop_lanes(w, m);
		pool_set_hold(m, w, HOLD_NONE);
	}
	w->n_loading = 0;
	w->n_leaving = 0;
}

uint32_t pool_model_failed(const struct pool_model *m)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->pool->n_workers; i++)
		n += m->holdings[i].wanted && m->holdings[i].failed;
	return n;
}

void pool_model_retry(struct pool_model *m)
{
	for (size_t i = 0; i < m->pool->n_workers; i++) {
		struct worker *w = &m->pool->workers[i];

		if (!m->holdings[i].failed)
			continue;
		m->holdings[i].failed = false;
		pool_recount(m->pool, w);
		worker_load_next(w);
	}
}
