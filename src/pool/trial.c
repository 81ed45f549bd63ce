/* trial.c: processes in which models under suspicion are loaded. Daemon process, loop thread. */
#include "pool/trial.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

static struct worker *trial_of(struct pool *p, uint32_t device_index)
{
	return &p->workers[p->max_workers + device_index];
}

void trial_ask(struct pool *p, uint32_t device_index)
{
	struct worker *t = trial_of(p, device_index);

	assert(t->trial);
	if (t->state != WORKER_REAPED || t->restart_at_ns > 0 || p->draining)
		return;
	t->restart_at_ns = clock_ns();
	pool_soon(p);
}

/* The first of the device that waits for it; NULL: none. */
static struct pool_model *find_suspect(const struct worker *t)
{
	list_for_each (&t->pool->models, node) {
		struct pool_model *m = list_entry(node, struct pool_model, node);

		if (pool_holding(m, t)->wanted && !m->retired && !m->isolated &&
			breaker_wants_trial(pool_breaker(m, t->device_index)))
			return m;
	}
	return NULL;
}

void trial_start(struct worker *t)
{
	struct pool_model *m = find_suspect(t);
	int r;

	t->restart_at_ns = 0;
	if (!m)
		return;
	t->tried = NULL;
	log_info("model is tried in a process of its own", "model=%s version=%s worker=%s",
		m->settings->name, m->settings->version, t->name);
	/* A failure was noted, and the next try is planned. */
	r = worker_spawn(t);
	if (!r)
		worker_want(t, m);
}

void trial_passed(struct worker *t, struct pool_model *m)
{
	t->tried = m;
	/* Which finds nothing more to load. */
	worker_load_next(t);
}

struct pool_model *trial_end(struct worker *t)
{
	struct pool_model *passed = t->tried;

	if (t->verdict != WORKER_UNUSABLE)
		t->failures = 0;
	t->tried = NULL;
	return passed;
}

void trial_forget(struct pool *p, const struct pool_model *m)
{
	for (size_t i = p->max_workers; i < p->n_all; i++) {
		struct worker *t = &p->workers[i];

		if (t->loading == m)
			worker_lose(t, WORKER_CLEAN, "the model goes that it loads");
		/* Where it was refused nothing of it is there, and it may be gone before the process is. */
		if (t->tried == m)
			t->tried = NULL;
	}
}
