/*
 * models.c: models over all workers: where each is wanted, how many workers have it, what it is
 * declared as, and the breakers that keep it away from a device.
 *
 * n_ready and n_hopeful are counted anew whenever something about a worker or a breaker changes,
 * which is rare; so they cannot drift, and asking costs nothing. Daemon process, loop thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/declaration.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

struct breaker *pool_breaker(struct pool *p, uint32_t model, uint32_t device_index)
{
	return &p->breakers[(size_t)model * p->n_devices + device_index];
}

/* Is `name` in the comma-separated list? Spaces around names do not count. */
static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t len;

		list += strspn(list, ", ");
		len = strcspn(list, ", ");
		if (len == n && !strncmp(list, name, n))
			return true;
		list += len;
	}
	return false;
}

bool pool_wants(const struct pool *p, uint32_t model, const struct worker *w)
{
	const char *devices = p->entries[model].model->devices;

	return !devices || !*devices || list_has(devices, w->device);
}

/* --- Counting -------------------------------------------------------------------------------- */

static bool is_hopeful(struct pool *p, uint32_t model, const struct worker *w)
{
	if (p->draining || !pool_wants(p, model, w) || w->holds[model] == HOLD_FAILED)
		return false;
	if (pool_breaker(p, model, w->device_index)->state == BREAKER_OPEN)
		return false;
	return w->state == WORKER_READY || w->failed_starts < WORKER_HOPELESS_STARTS;
}

void pool_recount(struct pool *p)
{
	for (uint32_t i = 0; i < p->n_entries; i++) {
		struct pool_entry *e = &p->entries[i];
		uint32_t n_ready = 0;
		uint32_t n_hopeful = 0;

		for (size_t k = 0; k < p->n_workers; k++) {
			n_ready += worker_holds(&p->workers[k], i);
			n_hopeful += is_hopeful(p, i, &p->workers[k]);
		}
		if (n_ready == e->n_ready && n_hopeful == e->n_hopeful)
			continue;
		e->n_ready = n_ready;
		e->n_hopeful = n_hopeful;
		e->changed = true;
		pool_soon(p);
	}
}

/* --- Loads ----------------------------------------------------------------------------------- */

static void load_failed(struct pool_entry *e, const struct worker *w, const char *error)
{
	char quoted[POOL_TEXT_MAX];

	log_warning("model failed to load", "model=%s worker=%s error=%s", e->model->name, w->name,
		log_quote(error, strlen(error), quoted, sizeof(quoted)));
	snprintf(e->error, sizeof(e->error), "load failed on %s: %s", w->device, error);
	e->changed = true;
}

/* The first declaration stays: clients were told. */
static const char *declare(struct pool_entry *e, const struct wire_loaded *l)
{
	if (!e->declared) {
		e->declared = declaration_copy(l);
		e->changed = true;
		return e->declared ? NULL : "out of memory";
	}
	return declaration_equal(e->declared, l)
		       ? NULL
		       : "it declares other inputs or outputs than when it was loaded first";
}

const char *pool_loaded(struct pool *p, struct worker *w, const struct wire_loaded *l)
{
	struct pool_entry *e = &p->entries[l->model];
	const char *refused = l->ok ? declare(e, l) : NULL;

	if (!l->ok || refused) {
		load_failed(e, w, refused ? refused : l->error);
		pool_praise(p, w, l->model);
		return refused;
	}
	e->error[0] = '\0';
	log_debug("model loaded", "model=%s worker=%s memory_bytes=%" PRIu64, e->model->name,
		w->name, l->memory_bytes);
	return NULL;
}

/* --- Breakers -------------------------------------------------------------------------------- */

/* Take it from the device's other workers, too. */
static void unload_from(struct pool *p, uint32_t model, uint32_t device_index)
{
	for (size_t i = 0; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		if (w->device_index != device_index || w->holds[model] != HOLD_HELD)
			continue;
		w->holds[model] = HOLD_NONE;
		worker_unload(w, model);
	}
}

static void load_on(struct pool *p, uint32_t device_index)
{
	for (size_t i = 0; i < p->n_workers; i++) {
		if (p->workers[i].device_index == device_index)
			worker_load_next(&p->workers[i]);
	}
}

void pool_blame(struct pool *p, struct worker *w, uint32_t model)
{
	struct breaker *b = pool_breaker(p, model, w->device_index);
	uint64_t now_ns = clock_ns();
	char text[POOL_TEXT_MAX];

	if (!breaker_crash(b, now_ns))
		return;
	log_error("model is taken off a device", "model=%s device=%s why=\"%s\"",
		p->entries[model].model->name, w->device,
		breaker_format(b, w->device, now_ns, text, sizeof(text)));
	p->entries[model].changed = true;
	unload_from(p, model, w->device_index);
	pool_recount(p);
	pool_arm(p, breaker_deadline(b));
}

void pool_praise(struct pool *p, struct worker *w, uint32_t model)
{
	struct breaker *b = pool_breaker(p, model, w->device_index);

	if (!breaker_success(b))
		return;
	log_info("circuit breaker closed", "model=%s device=%s", p->entries[model].model->name,
		w->device);
	p->entries[model].changed = true;
	load_on(p, w->device_index);
	pool_recount(p);
}

void pool_tick_breakers(struct pool *p, uint64_t now_ns)
{
	for (uint32_t i = 0; i < p->n_entries; i++) {
		for (uint32_t k = 0; k < p->n_devices; k++) {
			if (!breaker_tick(pool_breaker(p, i, k), now_ns))
				continue;
			log_info("model is tried again", "model=%s device=%s",
				p->entries[i].model->name, p->devices[k]);
			p->entries[i].changed = true;
			load_on(p, k);
			pool_recount(p);
		}
	}
}

/* --- What is asked --------------------------------------------------------------------------- */

uint32_t pool_model_ready(const struct pool *p, uint32_t model)
{
	return p->entries[model].n_ready;
}

uint32_t pool_model_hopeful(const struct pool *p, uint32_t model)
{
	return p->entries[model].n_hopeful;
}

const struct wire_loaded *pool_model_loaded(const struct pool *p, uint32_t model)
{
	return p->entries[model].declared;
}

/* A worker that wants the model and fails to start; NULL: none. */
static const struct worker *find_hopeless(const struct pool *p, uint32_t model)
{
	for (size_t i = 0; i < p->n_workers; i++) {
		const struct worker *w = &p->workers[i];

		if (pool_wants(p, model, w) && w->failed_starts >= WORKER_HOPELESS_STARTS)
			return w;
	}
	return NULL;
}

static bool is_wanted(const struct pool *p, uint32_t model)
{
	for (size_t i = 0; i < p->n_workers; i++) {
		if (pool_wants(p, model, &p->workers[i]))
			return true;
	}
	return false;
}

const char *pool_model_detail(const struct pool *p, uint32_t model)
{
	struct pool_entry *e = &p->entries[model];
	const struct worker *w;

	for (uint32_t k = 0; k < p->n_devices; k++) {
		const struct breaker *b = &p->breakers[(size_t)model * p->n_devices + k];

		if (b->state == BREAKER_OPEN)
			return breaker_format(
				b, p->devices[k], clock_ns(), e->detail, sizeof(e->detail));
	}
	if (e->error[0] || e->n_ready > 0)
		return e->error;
	w = find_hopeless(p, model);
	if (w)
		snprintf(e->detail, sizeof(e->detail),
			"worker %s failed to start %" PRIu32 " times: %s", w->name,
			w->failed_starts, w->last_exit);
	else if (!is_wanted(p, model))
		snprintf(e->detail, sizeof(e->detail), "no worker runs on its devices: %s",
			e->model->devices ? e->model->devices : "");
	else
		e->detail[0] = '\0';
	return e->detail;
}
