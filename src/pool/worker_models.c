/*
 * worker_models.c: what one worker is told to load and to unload, and what it says of it.
 *
 * What it has of a model is the model's business to remember (struct holding), so that a worker costs the
 * same however many models came and went. Daemon process, loop thread.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/orders.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define for_each_model(p, m)                                                                       \
	for (struct pool_model *m = list_entry((p)->models.next, struct pool_model, node);         \
		&m->node != &(p)->models; m = list_entry(m->node.next, struct pool_model, node))

/* One of its own is as good as a trial: it takes nobody with it. */
static bool is_admitted(const struct worker *w, const struct breaker *b)
{
	if (w->trial)
		return breaker_wants_trial(b);
	return breaker_admits(b, w) || (w->own && breaker_wants_trial(b));
}

/* May it, and should it? */
static bool is_to_load(const struct worker *w, struct pool_model *m)
{
	const struct holding *h = pool_holding(m, w);

	return h->state == HOLDING_NONE && h->wanted && !m->retired && !w->leaving && !w->resting &&
	       (w->own || !m->isolated) && is_admitted(w, pool_breaker(m, w->device_index));
}

void worker_want(struct worker *w, struct pool_model *m)
{
	struct holding *h = pool_holding(m, w);

	if (w->state == WORKER_LOST || w->state == WORKER_REAPED)
		return;
	if (!h->failed && is_to_load(w, m) && list_empty(&h->load_node))
		list_push_back(&w->to_load, &h->load_node);
}

static int compare_uses(const void *a, const void *b)
{
	const struct pool_model *const *x = a, *const *y = b;

	if ((*x)->uses != (*y)->uses)
		return (*x)->uses > (*y)->uses ? -1 : 1;
	return (*x)->id < (*y)->id ? -1 : 1;
}

/* All models in the order in which they should be loaded. NULL: no memory for that. */
static struct pool_model **by_use(struct pool *p)
{
	struct pool_model **all = calloc(p->n_models + 1, sizeof(struct pool_model *));
	size_t n = 0;

	if (!all)
		return NULL;
	for_each_model(p, m)
	{
		all[n++] = m;
	}
	assert(n == p->n_models);
	qsort(all, n, sizeof(*all), compare_uses);
	/* What was used long ago counts less. */
	for (size_t i = 0; i < n; i++)
		all[i]->uses -= all[i]->uses / 4;
	return all;
}

static void want_anew(struct worker *w, struct pool_model *m)
{
	pool_holding(m, w)->failed = false;
	worker_want(w, m);
}

void worker_want_all(struct worker *w)
{
	_cleanup_(freep) struct pool_model **all = NULL;

	if (w->own) {
		want_anew(w, w->model);
		return;
	}
	all = by_use(w->pool);
	for (size_t i = 0; all && i < w->pool->n_models; i++)
		want_anew(w, all[i]);
	if (all)
		return;
	/* Some order is better than none. */
	for_each_model(w->pool, m)
	{
		want_anew(w, m);
	}
}

static void load(struct worker *w, struct pool_model *m)
{
	struct wire_message message = {.type = WIRE_LOAD};

	breaker_try(pool_breaker(m, w->device_index), w);
	w->loading = m;
	w->load_ns = clock_ns();
	pool_set_holding(m, w, HOLDING_LOADING);
	orders_load(&message.load, m->settings);
	message.load.model = m->id;
	message.load.instances = pool_model_lanes(m, w->device);
	worker_tell(w, &message);
	pool_arm(w->pool, worker_deadline(w));
}

static bool takes_loads(const struct worker *w)
{
	return w->set_up && !w->loading && !w->alone &&
	       (w->state == WORKER_LOADING || w->state == WORKER_READY);
}

/* Loading takes what serving needs, so of a device that serves one worker loads at a time, and what may
 * never end (a trial) neither keeps others back nor begins beside them. At a start all load at once: the daemon is ready
 * when all of them are. */
static bool is_kept_back(const struct worker *w)
{
	const struct pool *p = w->pool;
	bool serves = w->trial, loads = false;

	/* What is a model's own waits for nobody, and nobody for it. */
	if (w->own)
		return false;
	for (size_t i = 0; i < p->n_shared; i++) {
		const struct worker *o = &p->workers[i];

		if (o == w || o->device_index != w->device_index)
			continue;
		serves |= o->state == WORKER_READY;
		loads |= o->loading != NULL;
	}
	return serves && loads;
}

void worker_load_next(struct worker *w)
{
	while (takes_loads(w) && !list_empty(&w->to_load) && !w->leaves_loads) {
		struct holding *h = list_entry(w->to_load.next, struct holding, load_node);

		if (is_kept_back(w)) {
			w->pool->kept_back = true;
			return;
		}
		list_remove(&h->load_node);
		/* Something may have come between. */
		if (is_to_load(w, h->model))
			load(w, h->model);
	}
	if (w->state == WORKER_LOADING && takes_loads(w))
		worker_set_ready(w);
}

void worker_load_others(struct pool *p)
{
	if (!p->kept_back)
		return;
	p->kept_back = false;
	for (size_t i = 0; i < p->n_all; i++)
		worker_load_next(&p->workers[i]);
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
	if (pool_holding(m, w)->state != HOLDING_LOADED)
		return;
	pool_set_holding(m, w, HOLDING_LEAVING);
	w->n_leaving++;
	worker_unload_idle(w);
}

void worker_unload_idle(struct worker *w)
{
	if (!worker_takes(w) || w->n_leaving == 0)
		return;
	/* Its end gives back all that it had. */
	if (w->own) {
		if (w->n_in_flight == 0)
			worker_drain(w);
		return;
	}
	for_each_model(w->pool, m)
	{
		struct holding *h = pool_holding(m, w);

		if (h->state != HOLDING_LEAVING || runs(w, m))
			continue;
		w->n_leaving--;
		pool_set_holding(m, w, HOLDING_UNLOADING);
		worker_tell(
			w, &(struct wire_message){.type = WIRE_UNLOAD, .unload = {.model = m->id}});
	}
}

/* As many lanes as the worker says. NULL: fine; else what it has (static). */
static const char *make_lanes(struct worker *w, struct pool_model *m, const struct wire_loaded *l)
{
	struct holding *h = pool_holding(m, w);
	uint32_t lanes = pool_model_lanes(m, w->device);
	uint32_t asked = lanes > 0 ? lanes : WIRE_LANES_FREE;
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

static void drop_lanes(struct holding *h)
{
	free(h->lanes);
	h->lanes = NULL;
	h->n_lanes = 0;
}

void worker_on_loaded(struct worker *w, const struct wire_loaded *l)
{
	struct pool_model *m = pool_find_model(w->pool, l->model);
	struct holding *h = m ? pool_holding(m, w) : NULL;
	const char *wrong;

	if (!h || h->state != HOLDING_LOADING) {
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
	assert(w->loading == m);
	w->loading = NULL;
	h->failed = !pool_loaded(m, w, l);
	h->memory_bytes = l->ok ? l->memory_bytes : 0;
	pool_set_holding(m, w, l->ok ? HOLDING_LOADED : HOLDING_NONE);
	w->pool->worker_events->on_loaded(w, m, !h->failed);
	if (w->trial)
		return;
	/* The breaker may have opened meanwhile. */
	if (h->failed || m->retired || (m->isolated && !w->own) ||
		!breaker_admits(pool_breaker(m, w->device_index), w))
		worker_unload(w, m);
	/* It can run this one, or what is not to run beside a load. */
	w->credit = true;
	worker_load_next(w);
	worker_load_others(w->pool);
}

void worker_on_unloaded(struct worker *w, const struct wire_unloaded *u)
{
	struct pool_model *m = pool_find_model(w->pool, u->model);
	struct holding *h = m ? pool_holding(m, w) : NULL;

	if (!h || h->state != HOLDING_UNLOADING) {
		worker_lose(w, WORKER_MISBEHAVED,
			"unloaded: model %" PRIu32 " was not to be unloaded", u->model);
		return;
	}
	log_debug("model unloaded",
		"model=%s version=%s worker=%s memory_bytes=%" PRIu64 " stayed_bytes=%" PRIu64,
		m->settings->name, m->settings->version, w->name, u->memory_bytes, u->stayed_bytes);
	w->stayed_bytes = u->stayed_bytes;
	drop_lanes(h);
	pool_set_holding(m, w, HOLDING_NONE);
	w->pool->worker_events->on_unloaded(w);
	worker_want(w, m);
	worker_load_next(w);
}

static void forget(struct worker *w, struct pool_model *m)
{
	struct holding *h = pool_holding(m, w);

	breaker_leave(pool_breaker(m, w->device_index), w);
	drop_lanes(h);
	list_remove(&h->load_node);
	pool_set_holding(m, w, HOLDING_NONE);
}

void worker_forget_models(struct worker *w)
{
	if (w->own)
		forget(w, w->model);
	for_each_model(w->pool, m)
	{
		if (!w->own)
			forget(w, m);
	}
	assert(list_empty(&w->to_load));
	w->loading = NULL;
	w->n_leaving = 0;
	w->stayed_bytes = w->kept_bytes = 0;
}
