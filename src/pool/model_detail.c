/*
 * model_detail.c: why a model is not there, in words for people: what is wrong with it or its workers, or what they are
 * about to do for it. Daemon process, loop thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "pool/holding.h"
#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

/* Of no use until somebody helps. */
static bool is_hopeless(const struct worker *w)
{
	return w->quarantine > 0 || w->failed_starts >= WORKER_HOPELESS_STARTS;
}

/* A worker that wants the model and fails to start; NULL: none. */
static const struct worker *find_hopeless(const struct pool_model *m)
{
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding((struct pool_model *)m, &i, &w));) {
		if (h->wanted && is_hopeless(w) && (w->own || !m->isolated))
			return w;
	}
	return NULL;
}

static void format_hopeless(const struct worker *w, char *out, size_t cap)
{
	if (w->quarantine > 0)
		snprintf(out, cap, "worker %s is in quarantine: the driver asks for %s", w->name,
			gpus_action_text(w->quarantine));
	else
		snprintf(out, cap, "worker %s failed to start %" PRIu32 " times: %s", w->name,
			w->failed_starts, w->last_exit);
}

static bool is_wanted(const struct pool_model *m)
{
	for (size_t k = 0; k < m->pool->n_devices; k++) {
		if (pool_model_on(m, m->pool->devices[k]) ||
			(m->fallen && pool_model_falls_to(m, m->pool->devices[k])))
			return true;
	}
	return false;
}

/* What a worker that the model is wanted on is about to do for it. Returns out. */
static const char *format_hope(
	const struct pool_model *m, const struct worker *w, char *out, size_t cap)
{
	enum holding_state state = pool_holding((struct pool_model *)m, w)->state;
	const struct breaker *b = &m->breakers[w->device_index];

	if (state == HOLDING_NONE && !w->own && b->state == BREAKER_TRIAL)
		snprintf(out, cap, "it is tried in a process of its own on %s%s%s", w->device,
			*breaker_why(b) ? " after: " : "", breaker_why(b));
	else if (w->state == WORKER_LOST)
		snprintf(out, cap, "worker %s was lost%s%s", w->name, w->loss[0] ? ": " : "",
			w->loss);
	else if (w->state == WORKER_REAPED)
		snprintf(out, cap, "worker %s is restarted%s%s", w->name,
			w->last_exit[0] ? " after: " : "", w->last_exit);
	else if (w->state == WORKER_SPAWNED)
		snprintf(out, cap, "worker %s starts", w->name);
	else if (state == HOLDING_NONE)
		snprintf(out, cap, "it is to be loaded on worker %s", w->name);
	else
		snprintf(out, cap, "it is %s on worker %s",
			state == HOLDING_LOADING ? "being loaded" : "loaded", w->name);
	return out;
}

static const struct worker *find_hope(const struct pool_model *m)
{
	const struct holding *h;
	struct worker *w;

	for (size_t i = 0; (h = pool_next_holding((struct pool_model *)m, &i, &w));) {
		if (h->hopeful)
			return w;
	}
	return NULL;
}

const char *pool_model_detail(struct pool_model *m)
{
	const struct worker *w;

	for (uint32_t k = 0; k < m->pool->n_devices; k++) {
		const struct breaker *b = &m->breakers[k];

		if (b->state == BREAKER_OPEN)
			return breaker_format(
				b, m->pool->devices[k], clock_ns(), m->detail, sizeof(m->detail));
	}
	if (m->error[0] || m->n_ready > 0)
		return m->error;
	w = find_hopeless(m);
	if (w)
		format_hopeless(w, m->detail, sizeof(m->detail));
	else if (!is_wanted(m))
		snprintf(m->detail, sizeof(m->detail), "no worker runs on its devices: %s",
			m->settings->devices ? m->settings->devices : "");
	else if (m->waits)
		own_format_wait(m, m->detail, sizeof(m->detail));
	else if ((w = find_hope(m)))
		format_hope(m, w, m->detail, sizeof(m->detail));
	else
		snprintf(m->detail, sizeof(m->detail), "no worker is to load it");
	return m->detail;
}
