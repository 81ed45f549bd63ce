/*
 * models.c: models as others see them: they come, are retired and go, and say how they are.
 *
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/saturate.h"
#include "pool/declaration.h"
#include "pool/holding.h"
#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/trial.h"
#include "pool/worker_private.h"

#define MODEL_OF(at) list_entry(at, struct pool_model, node)

/* --- Life ------------------------------------------------------------------------------------ */

static int make_breakers(struct pool_model *m)
{
	const struct pool_settings *s = m->pool->settings;
	size_t n = m->pool->n_devices;
	int r = 0;

	m->breakers = calloc(n + 1, sizeof(*m->breakers));
	if (!m->breakers)
		return -ENOMEM;
	for (size_t i = 0; i < n && !r; i++)
		r = breaker_init(&m->breakers[i], s->breaker_crashes,
			s->breaker_window_ms * NS_PER_MS, s->breaker_cooldown_ms * NS_PER_MS);
	return r;
}

static void release(struct pool_model *m)
{
	for (size_t i = 0; m->breakers && i < m->pool->n_devices; i++) {
		m->pool->n_open -= m->breakers[i].state == BREAKER_OPEN;
		breaker_deinit(&m->breakers[i]);
	}
	free(m->breakers);
	free(m->declared);
	free(m);
}

static void enter(struct pool_model *m)
{
	struct pool *p = m->pool;
	struct worker *w;

	m->id = (uint32_t)p->next_model++;
	list_init(&m->node);
	list_init(&m->bucket_node);
	list_init(&m->changed_node);
	list_push_back(&p->models, &m->node);
	list_push_back(&p->buckets[m->id % POOL_MODEL_BUCKETS], &m->bucket_node);
	p->n_models++;
	for (size_t i = 0; i < p->n_all; i++) {
		w = &p->workers[i];
		if (!w->own)
			holding_init(&m->holdings[w->column], m, w->device);
	}
	if (own_is_meant(m))
		own_begin(m);
	pool_recount_model(m);
	for (size_t i = 0; pool_next_holding(m, &i, &w);) {
		worker_want(w, m);
		worker_load_next(w);
	}
	pool_model_review(m);
}

/* All workers on its own devices that are to have it failed to load it; there may be none. */
static bool has_failed(struct pool_model *m)
{
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		if (!pool_model_on(m, w->device) || (m->isolated && !w->own))
			continue;
		if (!h->failed)
			return false;
	}
	return true;
}

static bool is_held(struct pool_model *m)
{
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		if (h->state == HOLDING_LOADED && !h->failed && pool_model_on(m, w->device))
			return true;
	}
	return false;
}

static void fall(struct pool_model *m, struct worker *w, struct holding *h)
{
	h->wanted = m->fallen;
	if (!m->fallen) {
		worker_unload(w, m);
		return;
	}
	worker_want(w, m);
	worker_load_next(w);
}

void pool_model_review(struct pool_model *m)
{
	bool fallen = m->fallen ? !is_held(m) : has_failed(m);
	struct holding *h;
	struct worker *w;

	if (!m->settings->fallback || m->retired || fallen == m->fallen)
		return;
	m->fallen = fallen;
	if (!fallen)
		m->error[0] = '\0';
	log_warning(fallen ? "a model could be loaded on none of its devices: it falls back"
			   : "a model is back on its devices",
		"model=%s version=%s devices=%s fallback=%s", m->settings->name,
		m->settings->version, m->settings->devices, m->settings->fallback);
	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		if (pool_model_falls_to(m, w->device))
			fall(m, w, h);
	}
	pool_recount_model(m);
	pool_model_changed(m);
}

int pool_model_new(struct pool_model **ret_model, struct pool *p,
	const struct pool_model_settings *settings, void *owner)
{
	struct pool_model *m;
	int r;

	if (settings->run_timeout_ms > POOL_MS_MAX)
		return -EINVAL;
	if (p->next_model > UINT32_MAX)
		return -EOVERFLOW;
	m = calloc(1, sizeof(*m) + (p->n_shared + p->n_devices) * sizeof(m->holdings[0]));
	if (!m)
		return -ENOMEM;
	m->pool = p;
	m->settings = settings;
	m->owner = owner;
	r = make_breakers(m);
	if (r) {
		release(m);
		return r;
	}
	enter(m);
	*ret_model = m;
	return 0;
}

void pool_model_retire(struct pool_model *m)
{
	assert(!m->retired);
	m->retired = true;
	trial_forget(m->pool, m);
	for (size_t i = 0; i < m->pool->n_all; i++) {
		struct worker *w = &m->pool->workers[i];
		struct holding *h = pool_holding(m, w);

		if (!h)
			continue;
		list_remove(&h->load_node);
		worker_unload(w, m);
		worker_load_next(w);
	}
	own_leave(m);
	pool_recount_model(m);
	pool_model_changed(m);
}

uint64_t pool_model_memory(const struct pool_model *m, const char *device)
{
	uint64_t sum = 0;
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding((struct pool_model *)m, &i, &w));) {
		/* What two have for a moment, while one replaces the other, counts once. */
		if ((device && strcmp(w->device, device) != 0) || (!w->own && !worker_counts(w)))
			continue;
		sum = saturating_add(sum, h->memory_bytes);
	}
	return sum;
}

void pool_model_retry(struct pool_model *m)
{
	struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		if (!h->failed)
			continue;
		h->failed = false;
		pool_recount(m->pool, w);
		worker_want(w, m);
		worker_load_next(w);
	}
}

struct pool_model *pool_model_free(struct pool_model *m)
{
	if (!m)
		return NULL;
	assert(m->n_held == 0 && m->n_flights == 0);
	own_free(m);
	list_remove(&m->node);
	list_remove(&m->bucket_node);
	list_remove(&m->changed_node);
	m->pool->n_models--;
	release(m);
	return NULL;
}

/* --- What is asked --------------------------------------------------------------------------- */

uint32_t pool_model_id(const struct pool_model *m)
{
	return m->id;
}

uint32_t pool_model_ready(const struct pool_model *m)
{
	return m->n_ready;
}

uint32_t pool_model_hopeful(const struct pool_model *m)
{
	return m->n_hopeful + (own_may_come(m) ? 1 : 0);
}

bool pool_has_numa(const struct pool *p)
{
	return p->numa;
}

uint32_t pool_model_numa_node(const struct pool_model *m)
{
	const struct pool *p = m->pool;
	uint32_t node = 0;

	for (size_t i = 0; p->numa && i < p->n_workers; i++) {
		const struct worker *w = &p->workers[i];

		if (!worker_holds(w, m))
			continue;
		if (w->numa_node == 0 || (node > 0 && node != w->numa_node))
			return 0;
		node = w->numa_node;
	}
	return node;
}

uint32_t pool_model_failed(const struct pool_model *m)
{
	const struct holding *h;
	struct worker *w;
	uint32_t n = 0;

	for (size_t i = 0; (h = pool_next_holding((struct pool_model *)m, &i, &w));)
		n += h->wanted && h->failed;
	return n;
}

uint64_t pool_model_busy_ns(const struct pool_model *m, uint64_t now_ns)
{
	uint64_t least_ns = UINT64_MAX;
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding((struct pool_model *)m, &i, &w));) {
		for (uint32_t k = 0; k < h->n_lanes && h->ready; k++) {
			uint64_t ns = backlog_kept_ns(&h->lanes[k].backlog, now_ns);

			least_ns = ns < least_ns ? ns : least_ns;
		}
	}
	return least_ns < UINT64_MAX ? least_ns : 0;
}

/* NULL: nothing of it is there, or to be there. */
static const char *placement_state(
	const struct pool_model *m, const struct worker *w, const struct holding *h)
{
	if (h->state == HOLDING_NONE) {
		if (h->hopeful)
			return "due";
		return h->wanted && h->failed && (w->own || !m->isolated) ? "failed" : NULL;
	}
	if (!worker_takes(w))
		return worker_state_name(w->state);
	if (h->state == HOLDING_LOADING)
		return "loading";
	return h->state == HOLDING_LOADED ? "ready" : "unloading";
}

bool pool_model_placement(
	const struct pool_model *m, size_t *i, struct pool_placement *ret_placement)
{
	const struct holding *h;
	struct worker *w;

	while ((h = pool_next_holding((struct pool_model *)m, i, &w))) {
		const char *state = placement_state(m, w, h);

		if (!state)
			continue;
		*ret_placement = (struct pool_placement){
			.worker = w, .instances = h->n_lanes, .state = state};
		return true;
	}
	return false;
}

const struct wire_loaded *pool_model_loaded(const struct pool_model *m)
{
	return m->declared;
}
