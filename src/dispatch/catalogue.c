/*
 * catalogue.c: versions by name and number, and how they come and go.
 *
 * Invariants: a version in `versions` is in exactly one family, one in `retired` in none; families are
 * sorted by name and not empty; a family's versions are sorted by number, the highest first. Daemon
 * process, loop thread.
 */
#include "dispatch/catalogue.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/pool.h"

/* All versions of one model. */
struct family {
	struct list versions; /* struct version.family_node */
	char name[];
};

#define FAMILY_VERSION(at) list_entry(at, struct version, family_node)

/* --- Families --------------------------------------------------------------------------------- */

static int compare_name(const char *name, size_t n, const struct family *f)
{
	int order = strncmp(name, f->name, n);

	return order || !f->name[n] ? order : -1;
}

/* Where in `families` it is, or belongs. */
static size_t place_of(const struct catalogue *c, const char *name, size_t n, bool *ret_found)
{
	size_t low = 0;
	size_t high = c->n_families;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_name(name, n, c->families[middle]);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct family *find_family(const struct catalogue *c, const char *name, size_t n)
{
	bool found;
	size_t at;

	/* A NUL inside would hide the rest of it. */
	if (n == 0 || memchr(name, 0, n))
		return NULL;
	at = place_of(c, name, n, &found);
	return found ? c->families[at] : NULL;
}

static struct family *family_of(const struct catalogue *c, const struct version *v)
{
	return find_family(c, v->settings.name, strlen(v->settings.name));
}

/* Room for one more pointer. */
static int grow(void *array, size_t n, size_t *cap)
{
	void **a = array;
	size_t more = *cap ? 2 * *cap : 16;
	void *bigger;

	if (n < *cap)
		return 0;
	bigger = realloc(*a, more * sizeof(void *));
	if (!bigger)
		return -ENOMEM;
	*a = bigger;
	*cap = more;
	return 0;
}

/* The family of this name, made where there is none. NULL: no memory */
static struct family *make_family(struct catalogue *c, const char *name)
{
	bool found;
	size_t at = place_of(c, name, strlen(name), &found);
	struct family *f;

	if (found)
		return c->families[at];
	if (grow(&c->families, c->n_families, &c->cap_families))
		return NULL;
	f = malloc(sizeof(*f) + strlen(name) + 1);
	if (!f)
		return NULL;
	memcpy(f->name, name, strlen(name) + 1);
	list_init(&f->versions);
	memmove(c->families + at + 1, c->families + at,
		(c->n_families - at) * sizeof(struct family *));
	c->families[at] = f;
	c->n_families++;
	return f;
}

static void drop_empty_family(struct catalogue *c, struct family *f)
{
	bool found;
	size_t at;

	if (!list_empty(&f->versions))
		return;
	at = place_of(c, f->name, strlen(f->name), &found);
	assert(found);
	c->n_families--;
	memmove(c->families + at, c->families + at + 1,
		(c->n_families - at) * sizeof(struct family *));
	free(f);
}

static uint64_t number_of(const struct version *v)
{
	return strtoull(v->settings.version, NULL, 10);
}

static void enter_family(struct family *f, struct version *v)
{
	struct list *at = f->versions.next;

	while (at != &f->versions && number_of(FAMILY_VERSION(at)) >= number_of(v))
		at = at->next;
	list_insert_before(at, &v->family_node);
}

/* --- Finding ---------------------------------------------------------------------------------- */

static bool has_number(const struct version *v, const char *number, size_t n)
{
	return !strncmp(v->settings.version, number, n) && !v->settings.version[n];
}

static struct version *find_default(const struct family *f)
{
	struct version *highest = NULL;

	list_for_each (&f->versions, node) {
		struct version *v = FAMILY_VERSION(node);

		if (v->replaces)
			continue;
		if (v->proven)
			return v;
		if (!highest)
			highest = v;
	}
	return highest;
}

static struct version *find_number(const struct family *f, const char *number, size_t n)
{
	struct version *candidate = NULL;

	list_for_each (&f->versions, node) {
		struct version *v = FAMILY_VERSION(node);

		if (!has_number(v, number, n))
			continue;
		if (!v->replaces)
			return v;
		candidate = v;
	}
	return candidate;
}

struct version *catalogue_find(
	const struct catalogue *c, const char *name, size_t n, const char *number, size_t n_number)
{
	const struct family *f = find_family(c, name, n);

	if (!f || (n_number > 0 && memchr(number, 0, n_number)))
		return NULL;
	return n_number > 0 ? find_number(f, number, n_number) : find_default(f);
}

size_t catalogue_family(
	const struct catalogue *c, const char *name, struct version **list, size_t cap)
{
	const struct family *f = find_family(c, name, strlen(name));
	size_t n = 0;

	if (!f)
		return 0;
	list_for_each (&f->versions, node) {
		if (n < cap)
			list[n] = FAMILY_VERSION(node);
		n++;
	}
	return n;
}

/* --- Coming ----------------------------------------------------------------------------------- */

void catalogue_init(struct catalogue *c, struct pool *pool, uint32_t default_max_batch_size,
	void (*on_change)(void *data, struct version *v), void *data)
{
	*c = (struct catalogue){.pool = pool,
		.default_max_batch_size = default_max_batch_size,
		.on_change = on_change,
		.data = data};
	list_init(&c->retired);
}

/* The candidate that is to replace v; NULL: none. */
static struct version *candidate_for(const struct catalogue *c, const struct version *v)
{
	const struct family *f = family_of(c, v);

	list_for_each (&f->versions, node) {
		if (FAMILY_VERSION(node)->replaces == v)
			return FAMILY_VERSION(node);
	}
	return NULL;
}

/* May there be one with these settings? */
static int check_new(
	const struct catalogue *c, const struct version_settings *s, const struct version *replaces)
{
	struct version *same =
		catalogue_find(c, s->name, strlen(s->name), s->version, strlen(s->version));

	if (replaces && (replaces->retired || replaces->replaces ||
				strcmp(replaces->settings.name, s->name)))
		return -EINVAL;
	return same && same != replaces && !(replaces && same->replaces == replaces) ? -EEXIST : 0;
}

static int make(
	struct catalogue *c, const struct version_settings *settings, struct version **ret_version)
{
	struct version *v;
	struct work *w;
	int r = version_new(&v, settings, c->default_max_batch_size, c->pool);

	if (r)
		return r;
	r = work_new(&w, v);
	if (r) {
		/* Workers may have been told already. */
		pool_model_retire(v->pool_model);
		v->retired = true;
		list_push_back(&c->retired, &v->node);
		return r;
	}
	*ret_version = v;
	return 0;
}

int catalogue_add(struct catalogue *c, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version)
{
	struct version *v = NULL;
	struct version *earlier;
	struct family *f;
	int r = check_new(c, settings, replaces);

	if (r)
		return r;
	f = make_family(c, settings->name);
	r = f ? grow(&c->versions, c->n, &c->cap) : -ENOMEM;
	if (!r)
		r = make(c, settings, &v);
	if (r) {
		if (f)
			drop_empty_family(c, f);
		return r;
	}
	earlier = replaces ? candidate_for(c, replaces) : NULL;
	if (earlier)
		catalogue_retire(c, earlier);
	if (replaces)
		version_stays(replaces); /* it is tried anew */
	v->replaces = replaces ? version_ref(replaces) : NULL;
	enter_family(f, v);
	c->versions[c->n++] = v;
	*ret_version = v;
	c->on_change(c->data, v);
	return 0;
}

/* --- Going ------------------------------------------------------------------------------------ */

static void leave(struct catalogue *c, struct version *v)
{
	struct family *f = family_of(c, v);
	size_t at = 0;

	list_remove(&v->family_node);
	drop_empty_family(c, f);
	while (c->versions[at] != v)
		at++;
	c->n--;
	memmove(c->versions + at, c->versions + at + 1, (c->n - at) * sizeof(struct version *));
}

void catalogue_retire(struct catalogue *c, struct version *v)
{
	struct version *candidate;

	assert(!v->retired);
	candidate = candidate_for(c, v);
	if (candidate)
		candidate->replaces = version_unref(candidate->replaces);
	v->replaces = version_unref(v->replaces);
	leave(c, v);
	v->retired = true;
	list_push_back(&c->retired, &v->node);
	log_info("model version goes", "model=%s version=%s requests=%u", v->settings.name,
		v->settings.version, v->n_requests);
	c->on_change(c->data, v);
}

void catalogue_sweep(struct catalogue *c)
{
	list_for_each (&c->retired, node) {
		struct version *v = list_entry(node, struct version, node);

		if (!v->work || v->n_requests > 0 || !list_empty(&v->work->node))
			continue;
		work_free(v->work);
		pool_model_retire(v->pool_model);
	}
}

static void add_counters(struct version_counters *sum, const struct version_counters *one)
{
	sum->requests_ok += one->requests_ok;
	sum->requests_failed += one->requests_failed;
	sum->failed_ns += one->failed_ns;
	sum->queue_ns += one->queue_ns;
	sum->compute_ns += one->compute_ns;
	sum->rows += one->rows;
	if (one->last_ns > sum->last_ns)
		sum->last_ns = one->last_ns;
	sum->batches += one->batches;
	sum->total_ns += one->total_ns;
}

void catalogue_gone(struct catalogue *c, struct version *v)
{
	assert(v->retired);
	log_info("model version is gone", "model=%s version=%s", v->settings.name,
		v->settings.version);
	add_counters(&c->gone, &v->counters);
	list_remove(&v->node);
	version_unref(v);
}

/* --- Taking over ------------------------------------------------------------------------------ */

/* As many workers have it as have the other one, or all that ever will. */
static bool can_take_over(const struct version *v)
{
	uint32_t n = version_workers_ready(v);

	return n > 0 &&
	       (n >= version_workers_ready(v->replaces) || n >= pool_model_hopeful(v->pool_model));
}

static void take_over(struct catalogue *c, struct version *v)
{
	struct version *old = v->replaces;

	log_info("model version takes over", "model=%s version=%s from=%s", v->settings.name,
		v->settings.version, old->settings.version);
	catalogue_retire(c, old); /* which v does not replace any more then */
	c->on_change(c->data, v);
}

static void give_up(struct catalogue *c, struct version *v)
{
	const char *detail = version_detail(v);
	char quoted[512];

	log_error("new model version failed: the old one goes on",
		"model=%s version=%s old=%s detail=%s", v->settings.name, v->settings.version,
		v->replaces->settings.version,
		log_quote(detail, strlen(detail), quoted, sizeof(quoted)));
	version_pass_over(v->replaces, v);
	catalogue_retire(c, v);
}

static void judge_candidate(struct catalogue *c, struct version *v)
{
	if (can_take_over(v))
		take_over(c, v);
	else if (!version_ready(v) && !version_hopeful(v))
		give_up(c, v);
}

void catalogue_note(struct catalogue *c, struct version *v)
{
	struct version *candidate;

	if (!v->proven && version_ready(v)) {
		v->proven = true;
		v->proven_ns = clock_ns();
		version_compare(v);
	}
	if (version_announce(v))
		c->on_change(c->data, v);
	if (v->retired)
		return;
	candidate = v->replaces ? v : candidate_for(c, v);
	if (candidate)
		judge_candidate(c, candidate);
}

/* --- All -------------------------------------------------------------------------------------- */

static void forget(struct version *v)
{
	v->replaces = version_unref(v->replaces);
	work_free(v->work);
	version_unref(v);
}

void catalogue_deinit(struct catalogue *c)
{
	struct list *node;

	for (size_t i = 0; i < c->n; i++)
		forget(c->versions[i]);
	while (c->retired.next && (node = list_first(&c->retired))) {
		list_remove(node);
		forget(list_entry(node, struct version, node));
	}
	for (size_t i = 0; i < c->n_families; i++)
		free(c->families[i]);
	free(c->versions);
	free(c->families);
	*c = (struct catalogue){0};
}

struct version_counters catalogue_counters(const struct catalogue *c)
{
	struct version_counters sum = c->gone;

	for (size_t i = 0; i < c->n; i++)
		add_counters(&sum, &c->versions[i]->counters);
	list_for_each (&c->retired, node)
		add_counters(&sum, &list_entry(node, struct version, node)->counters);
	return sum;
}
