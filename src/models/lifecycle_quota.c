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
#include "base/device_name.h"
#include "base/log.h"
#include "base/saturate.h"
#include "dispatch/dispatch.h"
#include "models/eviction.h"
#include "models/lifecycle_private.h"

#define TASK(at) list_entry(at, struct task, node)
#define WISH(at) list_entry(at, struct wish, node)
#define TEXT_MAX 512u

/* --- What there is ------------------------------------------------------------------------------ */

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

/* What the version takes of the host's memory. */
static uint64_t host_bytes(const struct lifecycle *l, const struct version *v)
{
	const struct models_settings *s = l->settings;
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n_places; i++) {
		if (!device_name_gpu(s->places[i].device))
			sum = saturating_add(sum, version_memory_bytes(v, s->places[i].device));
	}
	return sum;
}

static void count_version(struct lifecycle *l, const struct version *v, bool more)
{
	const struct models_settings *s = l->settings;
	uint64_t host = host_bytes(l, v);

	l->taken.host_bytes =
		more ? saturating_add(l->taken.host_bytes, host) : l->taken.host_bytes - host;
	for (size_t i = 0; i < s->n_places; i++) {
		uint64_t *sum = &l->taken.place_bytes[i];
		uint64_t bytes = device_name_gpu(s->places[i].device)
					 ? version_memory_bytes(v, s->places[i].device)
					 : 0;

		*sum = more ? saturating_add(*sum, bytes) : *sum - bytes;
	}
}

/* Of all that is loaded now. */
static void sum_up(struct lifecycle *l)
{
	l->taken.n_models = dispatch_n_models(l->dispatch);
	l->taken.host_bytes = 0;
	memset(l->taken.place_bytes, 0, l->settings->n_places * sizeof(uint64_t));
	for (size_t i = 0; i < dispatch_n_versions(l->dispatch); i++)
		count_version(l, dispatch_version(l->dispatch, i), true);
}

/* --- What is too much --------------------------------------------------------------------------- */

/* A model more, as far as it is known what it takes; NULL: none. */
static bool exceeds_models(const struct lifecycle *l, const char *more, char *text)
{
	size_t n = l->taken.n_models;
	uint32_t max = l->settings->max_models;

	if (max == 0 || n + (more != NULL) <= max)
		return false;
	snprintf(text, TEXT_MAX,
		"%zu models are loaded, and the limit is %" PRIu32 " ([models] max_models)", n,
		max);
	return true;
}

/* device NULL: the host */
static bool exceeds_memory(
	uint64_t taken, const char *device, uint64_t more_bytes, uint64_t limit, char *text)
{
	char more[64] = "";

	if (limit == 0 || saturating_add(taken, more_bytes) <= limit)
		return false;
	if (more_bytes)
		snprintf(more, sizeof(more), " this one took %" PRIu64 " when it was loaded last,",
			more_bytes);
	snprintf(text, TEXT_MAX,
		"models take %" PRIu64 " bytes on %s,%s and the limit is %" PRIu64 " ([models] %s)",
		taken, device ? device : "the host", more, limit,
		device ? "max_gpu_memory_bytes" : "max_memory_bytes");
	return true;
}

/* What there is too much of: OF_GPU + k is the memory of settings.places[k]. */
#define OF_NOTHING 0u
#define OF_MODELS  1u
#define OF_HOST	   2u
#define OF_GPU	   3u

/* more: a model that is to be loaded, NULL: none. text (TEXT_MAX) has the sums. By what sum_up() found. */
static size_t exceeds(const struct lifecycle *l, const char *more, char *text)
{
	const struct models_settings *s = l->settings;
	const struct wish *w = more ? wishes_find(&l->wishes, more) : NULL;

	if (exceeds_models(l, more, text))
		return OF_MODELS;
	if (exceeds_memory(
		    l->taken.host_bytes, NULL, w ? w->host_bytes : 0, s->max_memory_bytes, text))
		return OF_HOST;
	for (size_t i = 0; i < s->n_places; i++) {
		if (device_name_gpu(s->places[i].device) &&
			exceeds_memory(l->taken.place_bytes[i], s->places[i].device,
				w && w->gpu_bytes ? w->gpu_bytes[i] : 0, s->max_gpu_memory_bytes,
				text))
			return OF_GPU + i;
	}
	return OF_NOTHING;
}

static bool has_limits(const struct lifecycle *l)
{
	const struct models_settings *s = l->settings;

	return lifecycle_is_explicit(l) &&
	       (s->max_models || s->max_memory_bytes || s->max_gpu_memory_bytes);
}

/* Would there be room for the model if nobody else were there? By what it took when it was loaded last; NULL: nobody knows. */
static bool fits_alone(const struct lifecycle *l, const struct wish *w)
{
	const struct models_settings *s = l->settings;

	if (w && s->max_memory_bytes && w->host_bytes > s->max_memory_bytes)
		return false;
	for (size_t i = 0; w && w->gpu_bytes && s->max_gpu_memory_bytes && i < s->n_places; i++) {
		if (w->gpu_bytes[i] > s->max_gpu_memory_bytes)
			return false;
	}
	return true;
}

/* --- Who goes ----------------------------------------------------------------------------------- */

/* Does a caller wait for something to come of it? */
static bool holds_model(const struct task *t)
{
	return (t->phase != TASK_DONE || t->code == LIFECYCLE_OK) && t->phase != TASK_ROOM;
}

static void look_at_version(const struct version *v, struct eviction_model *m)
{
	const struct version_counters *c = version_counters(v);

	m->n_uses += c->requests_ok;
	if (c->last_ns > m->used_ns)
		m->used_ns = c->last_ns;
	m->busy |= version_n_requests(v) > 0 || (!version_ready(v) && version_hopeful(v));
}

static struct eviction_model look_at_wish(struct wish *w)
{
	return (struct eviction_model){
		.used_ns = w->used_ns, .n_uses = w->n_uses, .busy = w->n_references > 0, .who = w};
}

struct eviction_model lifecycle_look_at(const struct lifecycle *l, struct wish *w)
{
	struct eviction_model m = look_at_wish(w);
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);

	m.busy |= n == 0;
	list_for_each (&l->tasks, node)
		m.busy |= holds_model(TASK(node)) && !strcmp(TASK(node)->name, w->name);
	for (size_t i = 0; i < n; i++)
		look_at_version(versions[i], &m);
	return m;
}

/* Models that may be evicted, who goes first is first. */
struct ranking {
	struct eviction_model *list; /* own; who is NULL: it has gone */
	size_t n;
	size_t of;   /* the last next_of() was for this ... */
	size_t next; /* ... and none before this one would help */
};

static void ranking_deinit(struct ranking *r)
{
	free(r->list);
}

/* All that are loaded, as they stand. */
static void look_at_all(const struct lifecycle *l, struct ranking *r)
{
	for (size_t i = 0; i < dispatch_n_versions(l->dispatch); i++) {
		const struct version *v = dispatch_version(l->dispatch, i);
		struct wish *w = (struct wish *)wishes_find(&l->wishes, version_settings(v)->name);

		if (!w)
			continue;
		if (w->ranked == 0) {
			r->list[r->n] = look_at_wish(w);
			w->ranked = ++r->n;
		}
		look_at_version(v, &r->list[w->ranked - 1]);
	}
	list_for_each (&l->tasks, node) {
		const struct wish *w = wishes_find(&l->wishes, TASK(node)->name);

		if (w && w->ranked > 0 && holds_model(TASK(node)))
			r->list[w->ranked - 1].busy = true;
	}
	for (size_t i = 0; i < r->n; i++)
		((struct wish *)r->list[i].who)->ranked = 0;
}

/* Looks at each model once, whatever will have to go. Nobody where there is no memory. */
static void rank(const struct lifecycle *l, struct ranking *r)
{
	*r = (struct ranking){0};
	r->list = calloc(dispatch_n_models(l->dispatch) + 1, sizeof(*r->list));
	if (!r->list)
		return;
	look_at_all(l, r);
	r->n = eviction_rank(
		l->settings->eviction, r->list, r->n, l->settings->ttl_ms * NS_PER_MS, clock_ns());
}

/* Would there be less of it without this model? */
static bool would_help(const struct lifecycle *l, const struct wish *w, size_t of)
{
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = of == OF_MODELS ? 0 : versions_of(l, w->name, &versions);

	for (size_t i = 0; i < n; i++) {
		if (of == OF_HOST ? host_bytes(l, versions[i]) > 0
				  : version_memory_bytes(versions[i],
					    l->settings->places[of - OF_GPU].device) > 0)
			return true;
	}
	return of == OF_MODELS;
}

/* The next to make room; never `keep`, which may be NULL. NULL: none that may go would help. */
static struct eviction_model *next_of(
	const struct lifecycle *l, struct ranking *r, size_t of, const char *keep)
{
	if (r->of != of)
		r->next = 0;
	r->of = of;
	for (; r->next < r->n; r->next++) {
		const struct wish *w = r->list[r->next].who;

		if (w && (!keep || strcmp(w->name, keep) != 0) && would_help(l, w, of))
			return &r->list[r->next];
	}
	return NULL;
}

uint64_t lifecycle_evict(struct lifecycle *l, struct wish *w, struct task *t)
{
	struct applied a = {.task = t};
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes = saturating_add(bytes, version_memory_bytes(versions[i], NULL));
	log_info("model is evicted", "model=%s memory_bytes=%" PRIu64 " for=%s", w->name, bytes,
		t ? t->name : "");
	wish_clear(w);
	if (w->transient)
		wish_set_overlay(w, NULL);
	lifecycle_remove(l, w->name, 0, &a);
	l->counters.evictions++;
	return bytes;
}

/* It is not among what sum_up() found any more. */
static void evict_counted(struct lifecycle *l, struct wish *w, struct task *t)
{
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);

	for (size_t i = 0; i < n; i++)
		count_version(l, versions[i], false);
	l->taken.n_models -= n > 0;
	lifecycle_evict(l, w, t);
}

/* Until there is room for `more` (NULL: for what is there), or nobody is left who would help. Returns how many had to go. */
static size_t evict_for(struct lifecycle *l, const char *more, const char *keep, struct task *t)
{
	_cleanup_(ranking_deinit) struct ranking r = {0};
	struct eviction_model *next;
	char text[TEXT_MAX];
	size_t of, n = 0;

	if (!exceeds(l, more, text))
		return 0;
	rank(l, &r);
	while ((of = exceeds(l, more, text)) && (next = next_of(l, &r, of, keep))) {
		struct wish *w = next->who;

		next->who = NULL;
		evict_counted(l, w, t);
		n++;
	}
	return n;
}

/* --- Room for a load ---------------------------------------------------------------------------- */

static void refuse_load(struct task *t, const char *text)
{
	task_end(t, LIFECYCLE_FULL, "model '%s' is not loaded: %s, and none of them may go",
		t->name, text);
}

bool lifecycle_make_room(struct lifecycle *l, struct task *t)
{
	char text[TEXT_MAX];

	if (!has_limits(l) || is_loaded(l, t->name))
		return true;
	sum_up(l);
	if (!exceeds(l, t->name, text))
		return true;
	/* Nobody goes in vain. */
	if (!fits_alone(l, wishes_find(&l->wishes, t->name)))
		refuse_load(t, text);
	else if (evict_for(l, t->name, t->name, t) > 0 || t->patient)
		t->phase = TASK_ROOM;
	else
		refuse_load(t, text);
	return false;
}

/* Those that wait for somebody's room, and not for memory that is on its way back. */
static bool may_try_again(struct lifecycle *l, struct task *t, struct ranking *r)
{
	char text[TEXT_MAX];
	size_t of = exceeds(l, t->name, text);

	/* None of theirs is loaded, so that all who want the same of it get the same answer. */
	if (!of || next_of(l, r, of, NULL))
		return true;
	if (!t->patient || !dispatch_is_demanded(l->dispatch, t->name))
		refuse_load(t, text);
	return false;
}

static bool waits_for_room(const struct task *t)
{
	return t->phase == TASK_ROOM && t->n_versions == 0;
}

bool lifecycle_try_rooms(struct lifecycle *l)
{
	_cleanup_(ranking_deinit) struct ranking r = {0};
	bool any = false;

	list_for_each (&l->tasks, node) {
		struct task *t = TASK(node);

		if (!waits_for_room(t))
			continue;
		if (!r.list) {
			sum_up(l);
			rank(l, &r);
		}
		if (!may_try_again(l, t, &r))
			continue;
		t->phase = TASK_ASKED;
		any = true;
	}
	return any;
}

/* --- What was loaded ---------------------------------------------------------------------------- */

/* Where there is no memory to note it, it is not known next time. */
static void measure(struct lifecycle *l, struct wish *w)
{
	const struct models_settings *s = l->settings;
	_cleanup_(freep) struct version **versions = NULL;
	size_t n = versions_of(l, w->name, &versions);

	w->host_bytes = 0;
	for (size_t i = 0; i < n; i++)
		w->host_bytes = saturating_add(w->host_bytes, host_bytes(l, versions[i]));
	if (!w->gpu_bytes && s->max_gpu_memory_bytes > 0)
		w->gpu_bytes = calloc(s->n_places + 1, sizeof(uint64_t));
	for (size_t k = 0; w->gpu_bytes && k < s->n_places; k++) {
		w->gpu_bytes[k] = 0;
		for (size_t i = 0; i < n && device_name_gpu(s->places[k].device); i++)
			w->gpu_bytes[k] = saturating_add(w->gpu_bytes[k],
				version_memory_bytes(versions[i], s->places[k].device));
	}
}

void lifecycle_note_files(struct lifecycle *l, const char *name, uint64_t fingerprint)
{
	struct wish *w = (struct wish *)wishes_find(&l->wishes, name);

	if (!w || w->fingerprint == fingerprint)
		return;
	w->fingerprint = fingerprint;
	w->host_bytes = 0;
	free(w->gpu_bytes);
	w->gpu_bytes = NULL;
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

	if (!w)
		return;
	w->used_ns = clock_ns();
	if (!has_limits(l))
		return;
	measure(l, w);
	sum_up(l);
	if (fits_alone(l, w))
		evict_for(l, NULL, t->name, NULL);
	if (exceeds(l, NULL, text))
		give_back(l, w, t, text);
}

void lifecycle_enforce(struct lifecycle *l)
{
	char text[TEXT_MAX];
	bool over = false;

	if (has_limits(l)) {
		sum_up(l);
		evict_for(l, NULL, NULL, NULL);
		over = exceeds(l, NULL, text);
	}
	if (over && !l->over)
		log_warning("models take more than they may", "why=\"%s, and none of them may go\"",
			text);
	l->over = over;
}
