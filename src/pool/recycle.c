/*
 * recycle.c: shared workers are replaced by new processes, each on another place of its device.
 *
 * Invariants: of the shared places of a device one is `resting`, or one `replaces` another, which is not resting. Who is
 * `replaced` is READY, and gets its last batches. Daemon process, loop thread.
 */
#include "pool/recycle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

bool recycle_is_on(const struct pool_settings *s)
{
	return s->recycle_after_unload_bytes > 0;
}

/* Since it could not be replaced last. */
static bool has_left_much(const struct worker *w)
{
	uint64_t limit = w->pool->settings->recycle_after_unload_bytes;

	return w->stayed_bytes > w->kept_bytes && w->stayed_bytes - w->kept_bytes >= limit;
}

/* The same. */
static bool is_narrow(const struct worker *w)
{
	return w->sandbox_width < w->pool->sandbox_width && w->kept_width < w->pool->sandbox_width;
}

static bool is_due(const struct worker *w)
{
	return recycle_is_on(w->pool->settings) && !w->own && !w->trial && worker_counts(w) &&
	       w->state == WORKER_READY && (has_left_much(w) || is_narrow(w));
}

/* What a model knows of the requests that it has had would be lost. */
static bool holds_state(const struct worker *w)
{
	list_for_each (&w->pool->models, node) {
		const struct pool_model *m = list_entry(node, struct pool_model, node);

		if (m->settings->keeps_state && !m->retired && worker_holds(w, m))
			return true;
	}
	return false;
}

void recycle_note(struct worker *w)
{
	if (is_due(w))
		pool_soon(w->pool);
}

/* Who is to be replaced by one that may read more leaves that one what it would load itself. */
static void review_loads(struct worker *w)
{
	bool left = w->leaves_loads;

	w->leaves_loads = is_narrow(w) && is_due(w) && !holds_state(w);
	if (left && !w->leaves_loads)
		worker_load_next(w);
}

static void tell_narrow(const struct worker *w, const char *why)
{
	log_warning("a worker cannot read a repository that was added, in its sandbox: restart "
		    "modeld",
		"worker=%s pid=%d why=\"%s\"", w->name, worker_pid(w), why);
}

/* Where one cannot be replaced that is said. */
static void replace_narrow(struct pool *p)
{
	for (size_t i = 0; i < p->n_shared; i++) {
		struct worker *w = &p->workers[i];

		if (w->state == WORKER_REAPED || !worker_counts(w))
			continue;
		review_loads(w);
		if (!recycle_is_on(p->settings))
			tell_narrow(w, "[worker] recycle_after_unload_bytes = 0");
		else if (holds_state(w))
			tell_narrow(w, "it has a model with state of its own");
	}
	pool_soon(p);
}

static char **free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
	return NULL;
}

static char **copy_list(const char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i])
			return free_list(copy);
	}
	return copy;
}

int pool_set_sandbox(struct pool *p, const char *const *sandbox, bool wider)
{
	char **copy = copy_list(sandbox);

	if (!copy)
		return -ENOMEM;
	free_list(p->sandbox);
	p->sandbox = copy;
	if (wider) {
		p->sandbox_width++;
		replace_narrow(p);
	}
	return 0;
}

void recycle_deinit(struct pool *p)
{
	p->sandbox = free_list(p->sandbox);
}

static void tell_begin(const struct worker *next, const struct worker *w)
{
	if (is_narrow(w))
		log_info("worker is to be replaced: a repository was added, which its sandbox does "
			 "not let it read",
			"worker=%s pid=%d by=%s", w->name, worker_pid(w), next->name);
	else
		log_info("worker is to be replaced: models that were unloaded have left too much "
			 "behind",
			"worker=%s pid=%d by=%s stayed_bytes=%" PRIu64 " limit=%" PRIu64
			" setting=\"[worker] recycle_after_unload_bytes\"",
			w->name, worker_pid(w), next->name, w->stayed_bytes,
			w->pool->settings->recycle_after_unload_bytes);
}

static void begin(struct worker *next, struct worker *w)
{
	tell_begin(next, w);
	next->resting = false;
	next->replaces = w;
	next->failures = 0;
	next->failed_starts = 0;
	next->came_up = true;
	next->restart_at_ns = clock_ns();
	pool_recount(w->pool, next);
}

/* Its process, if there is one, ends, and there will be no other. */
static void put_to_rest(struct worker *w)
{
	w->resting = true;
	w->replaced = false;
	w->awaits_look = false;
	w->restart_at_ns = 0;
	if (w->state != WORKER_REAPED)
		worker_drain(w);
	pool_recount(w->pool, w);
}

static void give_up(struct worker *next, const char *why)
{
	struct worker *w = next->replaces;

	log_warning("worker is not replaced", "worker=%s by=%s stayed_bytes=%" PRIu64 " why=\"%s\"",
		w->name, next->name, w->stayed_bytes, why);
	if (is_narrow(w))
		tell_narrow(w, why);
	w->replaced = false;
	w->kept_bytes = w->stayed_bytes;
	w->kept_width = w->pool->sandbox_width;
	next->replaces = NULL;
	put_to_rest(next);
	review_loads(w);
}

/* It has the other one's place now. */
static void take_over(struct worker *next)
{
	struct worker *w = next->replaces;

	next->replaces = NULL;
	put_to_rest(w);
}

static void finish(struct worker *next)
{
	const struct worker *w = next->replaces;

	log_info("worker was replaced",
		"worker=%s pid=%d by=%s by_pid=%d stayed_bytes=%" PRIu64 " in_flight=%" PRIu32
		" ms=%" PRIu64,
		w->name, worker_pid(w), next->name, worker_pid(next), w->stayed_bytes,
		w->n_in_flight, (clock_ns() - next->started_ns) / NS_PER_MS);
	take_over(next);
}

/* All that the other one serves. */
static bool has_all(const struct worker *next, const struct worker *w)
{
	list_for_each (&w->pool->models, node) {
		struct pool_model *m = list_entry(node, struct pool_model, node);

		if (!m->retired && worker_holds(w, m) && !worker_holds(next, m))
			return false;
	}
	return true;
}

static bool is_idle(const struct worker *w)
{
	return !w->loading && (list_empty(&w->to_load) || w->leaves_loads);
}

/* It is ready: from the first time on that it has all, nobody is bound to the other one any more. */
static void relieve(struct worker *next)
{
	struct worker *w = next->replaces;

	if (!has_all(next, w)) {
		if (!w->replaced)
			give_up(next, "the new process could not load all of its models");
		return;
	}
	w->replaced = true;
	if (is_idle(w) && w->n_bound == 0)
		finish(next);
}

static void look_at(struct worker *next)
{
	if (next->replaces->state != WORKER_READY) {
		log_info("worker has ended before it was replaced", "worker=%s by=%s",
			next->replaces->name, next->name);
		take_over(next);
	} else if (next->failures > 0) {
		give_up(next, "the new process has ended");
	} else if (next->state == WORKER_READY && is_idle(next)) {
		relieve(next);
	}
}

static struct worker *find_due(const struct worker *rested)
{
	struct pool *p = rested->pool;

	for (size_t i = 0; i < p->n_shared; i++) {
		struct worker *w = &p->workers[i];

		if (w->device_index == rested->device_index && is_due(w) && !holds_state(w))
			return w;
	}
	return NULL;
}

void recycle_tick(struct pool *p)
{
	for (size_t i = 0; i < p->n_shared && !p->draining; i++) {
		struct worker *next = &p->workers[i];
		struct worker *w = worker_rests(next) ? find_due(next) : NULL;

		review_loads(next);
		if (next->replaces)
			look_at(next);
		else if (w)
			begin(next, w);
	}
}

void worker_bind(struct worker *w)
{
	w->n_bound++;
}

void worker_unbind(struct worker *w)
{
	assert(w->n_bound > 0);
	if (--w->n_bound == 0 && w->replaced)
		pool_soon(w->pool);
}

bool worker_is_ending(const struct worker *w)
{
	return w->replaced || (w->replaces && !w->replaces->replaced);
}
