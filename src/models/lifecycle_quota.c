/*
 * lifecycle_quota.c: no more models than [models] max_models, and no more memory for them than max_memory_bytes and
 * max_gpu_memory_bytes, where callers say which models there are.
 *
 * A load that needs room has others evicted first, and waits until their memory is back. What a model takes is known once
 * it was loaded: then it is measured, and where it is too much others go, or the model itself. One that is in use (it has
 * requests, references, or a load under way) is never evicted. Daemon process, loop thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "models/eviction.h"
#include "models/lifecycle_private.h"

#define TASK(at) list_entry(at, struct task, node)
#define WISH(at) list_entry(at, struct wish, node)
#define TEXT_MAX 512u

static bool is_gpu(const char *device)
{
	return !strncmp(device, "cuda:", strlen("cuda:"));
}

/* --- What there is ------------------------------------------------------------------------------ */

static uint64_t add(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* What the model's versions take of the host's memory (device NULL), or of a GPU's. */
static uint64_t memory_of(const struct lifecycle *l, const struct version *v, const char *device)
{
	const struct models_settings *s = l->settings;
	uint64_t sum = 0;

	if (device)
		return version_memory_bytes(v, device);
	for (size_t i = 0; i < s->n_places; i++) {
		if (!is_gpu(s->places[i].device))
			sum = add(sum, version_memory_bytes(v, s->places[i].device));
	}
	return sum;
}

static uint64_t memory_of_all(const struct lifecycle *l, const char *device)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < dispatch_n_versions(l->dispatch); i++)
		sum = add(sum, memory_of(l, dispatch_version(l->dispatch, i), device));
	return sum;
}

/* Of one model; own. Returns how many; 0 also where there is no memory. */
static size_t versions_of(const struct lifecycle *l, const char *name, struct version ***ret_list)
{
	size_t n = dispatch_model_versions(l->dispatch, name, NULL, 0);

	*ret_list = calloc(n + 1, sizeof(struct version *));
	return *ret_list ? dispatch_model_versions(l->dispatch, name, *ret_list, n) : 0;
}

static bool is_loaded(const struct lifecycle *l, const char *name)
{
	return dispatch_model_versions(l->dispatch, name, NULL, 0) > 0;
}

static size_t count_loaded(const struct lifecycle *l)
{
	size_t n = 0;

	list_for_each (&l->wishes.list, node)
		n += is_loaded(l, WISH(node)->name);
	return n;
}

/* --- What is too much --------------------------------------------------------------------------- */

/* A model more, as far as it is known what it takes; NULL: none. */
static bool exceeds_models(const struct lifecycle *l, const char *more, char *text)
{
	size_t n = count_loaded(l);
	uint32_t max = l->settings->max_models;

	if (max == 0 || n + (more != NULL) <= max)
		return false;
	snprintf(text, TEXT_MAX,
		"%zu models are loaded, and the limit is %" PRIu32 " ([models] max_models)", n,
		max);
	return true;
}

static bool exceeds_memory(const struct lifecycle *l, const char *device, uint64_t more_bytes,
	uint64_t limit, char *text)
{
	uint64_t taken = limit ? memory_of_all(l, device) : 0;

	if (limit == 0 || add(taken, more_bytes) <= limit)
		return false;
	if (more_bytes)
		snprintf(text, TEXT_MAX,
			"models take %" PRIu64 " bytes on %s, this one took %" PRIu64
			" when it was loaded last, and the limit is %" PRIu64 " ([models] %s)",
			taken, device ? device : "the host", more_bytes, limit,
			device ? "max_gpu_memory_bytes" : "max_memory_bytes");
	else
		snprintf(text, TEXT_MAX,
			"models take %" PRIu64 " bytes on %s, and the limit is %" PRIu64
			" ([models] %s)",
			taken, device ? device : "the host", limit,
			device ? "max_gpu_memory_bytes" : "max_memory_bytes");
	return true;
}

/* more: a model that is to be loaded, NULL: none. text (TEXT_MAX) has the sums. */
static bool exceeds(const struct lifecycle *l, const char *more, char *text)
{
	const struct models_settings *s = l->settings;
	const struct wish *w = more ? wishes_find(&l->wishes, more) : NULL;

	if (exceeds_models(l, more, text) ||
		exceeds_memory(l, NULL, w ? w->host_bytes : 0, s->max_memory_bytes, text))
		return true;
	for (size_t i = 0; i < s->n_places; i++) {
		if (is_gpu(s->places[i].device) &&
			exceeds_memory(l, s->places[i].device, w ? w->gpu_bytes : 0,
				s->max_gpu_memory_bytes, text))
			return true;
	}
	return false;
}

static bool has_limits(const struct lifecycle *l)
{
	const struct models_settings *s = l->settings;

	return lifecycle_is_explicit(l) &&
	       (s->max_models || s->max_memory_bytes || s->max_gpu_memory_bytes);
}

/* --- Who goes ----------------------------------------------------------------------------------- */

/* Does a caller wait for something to come of it? */
static bool has_task(const struct lifecycle *l, const char *name)
{
	list_for_each (&l->tasks, node) {
		const struct task *t = TASK(node);

		if ((t->phase != TASK_DONE || t->code == LIFECYCLE_OK) && t->phase != TASK_ROOM &&
			!strcmp(t->name, name))
			return true;
	}
	return false;
}

static void look_at_version(const struct version *v, struct eviction_model *m)
{
	const struct version_counters *c = version_counters(v);

	m->n_uses += c->requests_ok;
	if (c->last_ns > m->used_ns)
		m->used_ns = c->last_ns;
	m->busy |= version_n_requests(v) > 0 || (!version_ready(v) && version_hopeful(v));
}

struct eviction_model lifecycle_look_at(
	const struct lifecycle *l, const struct wish *w, const char *keep)
{
	struct eviction_model m = {.used_ns = w->used_ns, .n_uses = w->n_uses};
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);

	m.busy = n == 0 || w->n_references > 0 || has_task(l, w->name) ||
		 (keep && !strcmp(w->name, keep));
	for (size_t i = 0; i < n; i++)
		look_at_version(versions[i], &m);
	return m;
}

/* The wishes of models that are loaded; *ret_models: how they stand. Both own. Returns how many; 0 also where there is
 * no memory. */
static size_t look_at_all(const struct lifecycle *l, const char *keep, struct wish ***ret_wishes,
	struct eviction_model **ret_models)
{
	size_t max = count_loaded(l);
	size_t n = 0;

	*ret_wishes = calloc(max + 1, sizeof(struct wish *));
	*ret_models = calloc(max + 1, sizeof(struct eviction_model));
	if (!*ret_wishes || !*ret_models)
		return 0;
	list_for_each (&l->wishes.list, node) {
		if (!is_loaded(l, WISH(node)->name))
			continue;
		(*ret_wishes)[n] = WISH(node);
		(*ret_models)[n++] = lifecycle_look_at(l, WISH(node), keep);
	}
	return n;
}

/* The next to make room; never `keep`, which may be NULL. NULL: none may go. */
static struct wish *choose(
	const struct lifecycle *l, enum eviction_policy policy, uint64_t ttl_ns, const char *keep)
{
	_cleanup_(freep) struct wish **wishes = NULL;
	_cleanup_(freep) struct eviction_model *models = NULL;
	size_t n = look_at_all(l, keep, &wishes, &models);
	size_t i = eviction_choose(policy, models, n, ttl_ns, clock_ns());

	return i < n ? wishes[i] : NULL;
}

static struct wish *choose_by_policy(const struct lifecycle *l, const char *keep)
{
	return choose(l, l->settings->eviction, l->settings->ttl_ms * NS_PER_MS, keep);
}

uint64_t lifecycle_evict(struct lifecycle *l, struct wish *w, struct task *t)
{
	struct applied a = {.task = t};
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes = add(bytes, version_memory_bytes(versions[i], NULL));
	log_info("model is evicted", "model=%s memory_bytes=%" PRIu64 " for=%s", w->name, bytes,
		t ? t->name : "");
	wish_clear(w);
	lifecycle_remove(l, w->name, 0, &a);
	l->counters.evictions++;
	return bytes;
}

/* --- Room for a load ---------------------------------------------------------------------------- */

/* Returns whether any had to go. */
static bool evict_for(struct lifecycle *l, struct task *t)
{
	char text[TEXT_MAX];
	struct wish *w;
	bool any = false;

	while (exceeds(l, t->name, text) && (w = choose_by_policy(l, t->name))) {
		lifecycle_evict(l, w, t);
		any = true;
	}
	return any;
}

static void refuse_load(struct task *t, const char *text)
{
	task_end(t, LIFECYCLE_FULL, "model '%s' is not loaded: %s, and none of them may go",
		t->name, text);
}

bool lifecycle_make_room(struct lifecycle *l, struct task *t)
{
	char text[TEXT_MAX];

	if (!has_limits(l) || is_loaded(l, t->name) || !exceeds(l, t->name, text))
		return true;
	if (evict_for(l, t) || t->patient)
		t->phase = TASK_ROOM;
	else
		refuse_load(t, text);
	return false;
}

/* Those that wait for somebody's room, and not for memory that is on its way back. */
static bool may_try_again(struct lifecycle *l, struct task *t)
{
	char text[TEXT_MAX];

	if (!exceeds(l, t->name, text) || choose_by_policy(l, t->name))
		return true;
	if (!t->patient || !dispatch_is_demanded(l->dispatch, t->name))
		refuse_load(t, text);
	return false;
}

bool lifecycle_try_rooms(struct lifecycle *l)
{
	bool any = false;

	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		if (t->phase != TASK_ROOM || t->n_versions > 0 || !may_try_again(l, t))
			continue;
		t->phase = TASK_ASKED;
		any = true;
	}
	return any;
}

/* --- What was loaded ---------------------------------------------------------------------------- */

static void measure(struct lifecycle *l, struct wish *w)
{
	const struct models_settings *s = l->settings;

	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);

	w->host_bytes = w->gpu_bytes = 0;
	for (size_t i = 0; i < n; i++)
		w->host_bytes = add(w->host_bytes, memory_of(l, versions[i], NULL));
	for (size_t k = 0; k < s->n_places; k++) {
		uint64_t bytes = 0;

		for (size_t i = 0; is_gpu(s->places[k].device) && i < n; i++)
			bytes = add(bytes, memory_of(l, versions[i], s->places[k].device));
		w->gpu_bytes = bytes > w->gpu_bytes ? bytes : w->gpu_bytes;
	}
}

/* It is too much, now that it is known, and nothing else may go. */
static void give_back(struct lifecycle *l, struct wish *w, struct task *t, const char *text)
{
	task_end(t, LIFECYCLE_FULL, "model '%s' is not kept: %s, and none of them may go", t->name,
		text);
	lifecycle_evict(l, w, NULL);
}

void lifecycle_on_loaded(struct lifecycle *l, struct task *t)
{
	struct wish *w = (struct wish *)wishes_find(&l->wishes, t->name);
	char text[TEXT_MAX];
	struct wish *other;

	if (!w)
		return;
	w->used_ns = clock_ns();
	if (!has_limits(l))
		return;
	measure(l, w);
	while (exceeds(l, NULL, text)) {
		other = choose_by_policy(l, t->name);
		if (!other) {
			give_back(l, w, t, text);
			return;
		}
		lifecycle_evict(l, other, NULL);
	}
}

void lifecycle_enforce(struct lifecycle *l)
{
	char text[TEXT_MAX];
	struct wish *w;
	bool over = false;

	while (has_limits(l) && !over && exceeds(l, NULL, text)) {
		w = choose_by_policy(l, NULL);
		if (w)
			lifecycle_evict(l, w, NULL);
		over = !w;
	}
	if (over && !l->over)
		log_warning("models take more than they may", "why=\"%s, and none of them may go\"",
			text);
	l->over = over;
}
