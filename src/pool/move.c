/*
 * move.c: from shared workers to some of a model's own, and back. Daemon process, loop thread.
 *
 * One that moves out is unloaded from shared workers at once: nobody else is to be taken down by it again. One that moves
 * back is served by its own workers until shared ones have it, and nobody is bound to its own any more. What a model with state of its
 * own knows would be lost on the way back: it stays.
 */
#include "pool/move.h"

#include "base/clock.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define MODEL_OF(at) list_entry(at, struct pool_model, node)

static bool is_auto(const struct pool_model *m)
{
	return m->settings->isolation == ISOLATION_AUTO && !m->program && !m->retired;
}

static void leave_shared(struct pool_model *m)
{
	struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		if (w->own)
			continue;
		list_remove(&h->load_node);
		worker_unload(w, m);
	}
}

void move_out(struct pool_model *m, const struct worker *w)
{
	m->blamed_ns = clock_ns();
	if (!is_auto(m) || m->isolated || m->pool->draining)
		return;
	if (!own_stay(m) && !own_try(m)) {
		log_warning(
			"no place for worker processes of its own: the model goes on sharing some",
			"model=%s version=%s limit=max_model_workers", m->settings->name,
			m->settings->version);
		return;
	}
	m->isolated = true;
	log_warning("model gets worker processes of its own", "model=%s version=%s worker=%s",
		m->settings->name, m->settings->version, w->name);
	leave_shared(m);
	pool_recount_model(m);
	pool_model_changed(m);
	pool_arm(m->pool, move_deadline(m->pool));
}

static uint64_t due_ns(const struct pool_model *m)
{
	uint64_t return_ms = m->pool->settings->isolation_return_ms;

	if (!is_auto(m) || !m->isolated || m->settings->keeps_state || return_ms == 0)
		return CLOCK_NO_DEADLINE;
	return clock_add(m->blamed_ns, return_ms * NS_PER_MS);
}

static void move_back(struct pool_model *m)
{
	struct worker *w;

	log_info("model shares workers again", "model=%s version=%s", m->settings->name,
		m->settings->version);
	m->isolated = false;
	for (size_t i = 0; pool_next_holding(m, &i, &w);) {
		worker_want(w, m);
		worker_load_next(w);
	}
	pool_recount_model(m);
	pool_model_changed(m);
}

/* It has moved back, and its own workers are of no use any more: shared ones have it, as many as will. */
static bool is_back(struct pool_model *m)
{
	uint32_t n_ready = 0, n_hopeful = 0;
	const struct holding *h;
	struct worker *w;

	if (!is_auto(m) || m->isolated || m->n_own == 0)
		return false;
	for (size_t i = 0; (h = pool_next_holding(m, &i, &w));) {
		n_ready += !w->own && h->ready;
		n_hopeful += !w->own && h->hopeful;
	}
	return n_ready > 0 && n_ready >= n_hopeful;
}

void move_tick(struct pool *p, uint64_t now_ns)
{
	if (p->n_own == 0 || p->draining)
		return;
	list_for_each (&p->models, node) {
		struct pool_model *m = MODEL_OF(node);

		if (due_ns(m) <= now_ns)
			move_back(m);
		if (is_back(m))
			own_relieve(m);
	}
}

uint64_t move_deadline(const struct pool *p)
{
	uint64_t first = CLOCK_NO_DEADLINE;

	if (p->n_own == 0)
		return first;
	list_for_each (&p->models, node) {
		uint64_t at = due_ns(MODEL_OF(node));

		first = at < first ? at : first;
	}
	return first;
}
