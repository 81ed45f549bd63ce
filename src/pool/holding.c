/*
 * holding.c: models over all workers: where each is wanted, what workers have of it, how many have it, and what it is
 * declared as.
 *
 * n_ready and n_hopeful are sums over holdings. Whatever changes something that a holding goes by (its own
 * state, its worker's, a breaker's) has those looked at that it may concern, and no others: what a worker
 * says of one model costs the same however many models and workers there are. Asking costs nothing.
 *
 * Invariant: holding.ready and .hopeful are what is in the sums. Daemon process, loop thread.
 */
#include "pool/holding.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/comma_list.h"
#include "base/log.h"
#include "base/utf8.h"
#include "pool/declaration.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define MODEL_OF(at) list_entry(at, struct pool_model, node)

struct breaker *pool_breaker(struct pool_model *m, uint32_t device_index)
{
	return &m->breakers[device_index];
}

struct pool_model *pool_find_model(struct pool *p, uint32_t id)
{
	list_for_each (&p->buckets[id % POOL_MODEL_BUCKETS], node) {
		struct pool_model *m = list_entry(node, struct pool_model, bucket_node);

		if (m->id == id)
			return m;
	}
	return NULL;
}

struct holding *pool_holding(struct pool_model *m, const struct worker *w)
{
	if (w->own)
		return w->model == m ? w->holding : NULL;
	return &m->holdings[w->column];
}

struct holding *pool_next_holding(struct pool_model *m, size_t *i, struct worker **ret_worker)
{
	struct pool *p = m->pool;

	for (; *i < p->n_workers; ++*i) {
		struct holding *h = pool_holding(m, &p->workers[*i]);

		if (!h || worker_rests(&p->workers[*i]))
			continue;
		*ret_worker = &p->workers[(*i)++];
		return h;
	}
	return NULL;
}

bool pool_model_on(const struct pool_model *m, const char *device)
{
	const char *devices = m->settings->devices;

	uint32_t n;

	return !devices || !*devices || comma_list_find(devices, device, &n);
}

bool pool_model_falls_to(const struct pool_model *m, const char *device)
{
	const char *fallback = m->settings->fallback;

	return fallback && comma_list_has(fallback, device) && !pool_model_on(m, device);
}

uint32_t pool_model_instances(const struct pool_model *m, const char *device)
{
	const char *devices = m->settings->devices;
	uint32_t n = 0;

	if (devices && comma_list_find(devices, device, &n) && n > 0)
		return n;
	return m->settings->instances;
}

uint32_t pool_model_lanes(const struct pool_model *m, const char *device)
{
	/* Its processes are its instances. */
	return m->program ? 0 : pool_model_instances(m, device);
}

void holding_init(struct holding *h, struct pool_model *m, const char *device)
{
	h->model = m;
	list_init(&h->load_node);
	h->wanted = pool_model_on(m, device) || (m->fallen && pool_model_falls_to(m, device));
}

bool worker_holds(const struct worker *w, const struct pool_model *m)
{
	const struct holding *h = pool_holding((struct pool_model *)m, w);

	return h && h->state == HOLDING_LOADED && worker_takes(w);
}

/* --- Counting -------------------------------------------------------------------------------- */

void pool_model_changed(struct pool_model *m)
{
	if (!list_empty(&m->changed_node))
		return;
	list_push_back(&m->pool->changed, &m->changed_node);
	pool_soon(m->pool);
}

static bool is_hopeful(struct pool_model *m, const struct worker *w)
{
	const struct holding *h = pool_holding(m, w);

	if (m->pool->draining || m->retired || !h->wanted || h->failed)
		return false;
	if ((m->isolated && !w->own) || w->leaving || w->resting)
		return false;
	if (pool_breaker(m, w->device_index)->state == BREAKER_OPEN || w->quarantine > 0)
		return false;
	return w->state == WORKER_READY || w->failed_starts < WORKER_HOPELESS_STARTS;
}

static void count(struct pool_model *m, const struct worker *w)
{
	struct holding *h = pool_holding(m, w);
	bool ready = worker_holds(w, m);
	bool hopeful = is_hopeful(m, w);

	m->pool->n_counted++;
	if (ready == h->ready && hopeful == h->hopeful)
		return;
	m->n_ready = m->n_ready - h->ready + ready;
	m->n_hopeful = m->n_hopeful - h->hopeful + hopeful;
	h->ready = ready;
	h->hopeful = hopeful;
	pool_model_changed(m);
}

void pool_recount(struct pool *p, struct worker *w)
{
	/* What it holds is for nobody. */
	if (w->trial)
		return;
	if (w->own) {
		count(w->model, w);
		return;
	}
	list_for_each (&p->models, node)
		count(MODEL_OF(node), w);
}

void pool_recount_model(struct pool_model *m)
{
	struct worker *w;

	for (size_t i = 0; pool_next_holding(m, &i, &w);)
		count(m, w);
}

void pool_recount_device(struct pool_model *m, uint32_t device_index)
{
	struct worker *w;

	for (size_t i = 0; pool_next_holding(m, &i, &w);) {
		if (w->device_index == device_index)
			count(m, w);
	}
}

void pool_recount_all(struct pool *p)
{
	list_for_each (&p->models, node)
		pool_recount_model(MODEL_OF(node));
}

void pool_set_holding(struct pool_model *m, struct worker *w, enum holding_state state)
{
	struct holding *h = pool_holding(m, w);

	m->n_held += (state != HOLDING_NONE) - (h->state != HOLDING_NONE);
	h->state = state;
	if (state == HOLDING_NONE)
		h->memory_bytes = 0;
	if (!w->trial)
		count(m, w);
	if (m->retired && m->n_held == 0)
		pool_model_changed(m);
}

static bool is_gone(const struct pool_model *m)
{
	return m->retired && !m->told_gone && m->n_held == 0 && m->n_flights == 0 && m->n_own == 0;
}

void pool_tell_models(struct pool *p)
{
	struct list *node;

	while ((node = list_first(&p->changed))) {
		struct pool_model *m = list_entry(node, struct pool_model, changed_node);

		list_remove(node);
		if (!m->retired) {
			p->events->on_model(p->data, m->owner);
		} else if (is_gone(m)) {
			m->told_gone = true;
			log_debug("model is gone", "model=%s version=%s id=%" PRIu32,
				m->settings->name, m->settings->version, m->id);
			p->events->on_model_gone(p->data, m->owner);
		}
	}
}

/* --- Loads ----------------------------------------------------------------------------------- */

static void load_failed(struct pool_model *m, const struct worker *w, const char *error)
{
	char quoted[POOL_TEXT_MAX];

	log_warning("model failed to load", "model=%s version=%s worker=%s error=%s",
		m->settings->name, m->settings->version, w->name,
		log_quote(error, strlen(error), quoted, sizeof(quoted)));
	snprintf(m->error, sizeof(m->error), "load failed on %s: %s", w->device, error);
	utf8_mend(m->error); /* it may have been cut within a character */
	pool_model_changed(m);
}

/* The first declaration stays: clients were told. */
static const char *declare(struct pool_model *m, const struct wire_loaded *l)
{
	/* What it answers is held by its outputs, and by nothing else. */
	if (l->decoupled && l->n_outputs == 0)
		return "it is decoupled and declares no outputs: there is nothing that it could "
		       "answer";
	if (!m->declared) {
		m->declared = declaration_copy(l);
		pool_model_changed(m);
		return m->declared ? NULL : "out of memory";
	}
	return declaration_equal(m->declared, l)
		       ? NULL
		       : "it declares other inputs or outputs than when it was loaded first";
}

bool pool_loaded(struct pool_model *m, const struct worker *w, const struct wire_loaded *l)
{
	const char *refused = l->ok ? declare(m, l) : l->error;

	if (refused) {
		load_failed(m, w, refused);
		return false;
	}
	/* Why it fell back stays said. */
	if (!m->fallen)
		m->error[0] = '\0';
	log_debug("model loaded", "model=%s version=%s worker=%s memory_bytes=%" PRIu64,
		m->settings->name, m->settings->version, w->name, l->memory_bytes);
	return true;
}
