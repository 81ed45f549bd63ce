/*
 * blame.c: which model is kept away from which device, and for how long: what the ends of processes and answers
 * mean for its breaker, and what follows for the workers of that device. Daemon process, loop thread.
 */
#include "pool/blame.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/move.h"
#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/trial.h"
#include "pool/worker_private.h"

#define MODEL_OF(at) list_entry(at, struct pool_model, node)

/* Take it from all workers of the device. */
static void unload_from(struct pool_model *m, uint32_t device_index)
{
	struct worker *w;

	for (size_t i = 0; pool_next_holding(m, &i, &w);) {
		if (w->device_index == device_index)
			worker_unload(w, m);
	}
}

static void load_on(struct pool_model *m, uint32_t device_index)
{
	struct worker *w;

	own_wake(m, device_index);
	for (size_t i = 0; pool_next_holding(m, &i, &w);) {
		if (w->device_index != device_index)
			continue;
		worker_want(w, m);
		worker_load_next(w);
	}
}

void pool_blame(struct pool_model *m, struct worker *w)
{
	struct breaker *b = pool_breaker(m, w->device_index);
	uint64_t now_ns = clock_ns();
	char text[POOL_TEXT_MAX];

	bool opened = breaker_crash(b, w, w->last_exit, now_ns);

	/* Whom others kill may be innocent. */
	if (opened || !w->killed)
		move_out(m, w);
	if (!opened)
		return;
	m->pool->n_open++;
	log_error("model is taken off a device", "model=%s version=%s device=%s why=\"%s\"",
		m->settings->name, m->settings->version, w->device,
		breaker_format(b, w->device, now_ns, text, sizeof(text)));
	pool_model_changed(m);
	unload_from(m, w->device_index);
	pool_recount_device(m, w->device_index);
	pool_arm(m->pool, breaker_deadline(b));
}

void pool_praise(struct pool_model *m, struct worker *w)
{
	if (!breaker_success(pool_breaker(m, w->device_index)))
		return;
	log_info("circuit breaker closed", "model=%s version=%s device=%s", m->settings->name,
		m->settings->version, w->device);
	pool_model_changed(m);
	load_on(m, w->device_index);
	pool_recount_device(m, w->device_index);
}

/* Where it has processes of its own they may try it. */
static void try_again(struct pool_model *m, uint32_t device_index)
{
	if (m->isolated)
		own_wake(m, device_index);
	else
		trial_ask(m->pool, device_index);
}

void pool_suspect(struct pool_model *m, struct worker *w)
{
	if (m->retired || !breaker_suspect(pool_breaker(m, w->device_index), w->last_exit))
		return;
	log_warning("a worker ended while it loaded a model, which is tried alone now",
		"model=%s version=%s worker=%s why=\"%s\"", m->settings->name, m->settings->version,
		w->name, w->last_exit);
	pool_model_changed(m);
	try_again(m, w->device_index);
}

void pool_trust(struct pool_model *m, struct worker *w)
{
	struct breaker *b = pool_breaker(m, w->device_index);

	if (m->retired || !breaker_loaded(b))
		return;
	/* Where only one worker may have it, this is it. */
	if (w->own)
		breaker_try(b, w);
	log_info("model can be loaded", "model=%s version=%s device=%s", m->settings->name,
		m->settings->version, w->device);
	pool_model_changed(m);
	load_on(m, w->device_index);
	pool_recount_device(m, w->device_index);
}

void pool_settle_blame(struct worker *w)
{
	bool guilty = w->verdict == WORKER_CRASHED || w->verdict == WORKER_HUNG ||
		      w->verdict == WORKER_MISBEHAVED;

	if (!guilty || w->pool->draining)
		return;
	if (w->suspect)
		pool_blame(w->suspect, w);
	if (w->was_loading)
		pool_suspect(w->was_loading, w);
}

static void tick_breakers(struct pool_model *m, uint64_t now_ns)
{
	struct pool *p = m->pool;

	for (uint32_t k = 0; k < p->n_devices; k++) {
		if (!breaker_tick(pool_breaker(m, k), now_ns))
			continue;
		p->n_open--;
		log_info("model is tried again", "model=%s version=%s device=%s", m->settings->name,
			m->settings->version, p->devices[k]);
		pool_model_changed(m);
		try_again(m, k);
		pool_recount_device(m, k);
	}
}

void pool_tick_breakers(struct pool *p, uint64_t now_ns)
{
	if (p->n_open == 0)
		return;
	list_for_each (&p->models, node)
		tick_breakers(MODEL_OF(node), now_ns);
}

uint64_t pool_breakers_deadline(const struct pool *p)
{
	uint64_t first = CLOCK_NO_DEADLINE;

	if (p->n_open == 0)
		return first;
	list_for_each (&p->models, node) {
		for (uint32_t k = 0; k < p->n_devices; k++) {
			uint64_t at = breaker_deadline(&MODEL_OF(node)->breakers[k]);

			first = at < first ? at : first;
		}
	}
	return first;
}
