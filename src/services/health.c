/*
 * health.c: how the server, its services and its models are, and who watches that.
 *
 * A topic is a name that somebody watches. One whose status may have changed is dirty until the next
 * health_flush(), where its status is found anew, once, whoever watches it. Names are whatever peers choose, a
 * thousand a connection: the table grows with them, and nobody knows which of them meet in it.
 *
 * Readiness of "" depends on all models. Whether one is missing is looked for from where one was found
 * missing last: while it is, nothing else is looked at; as models come back one by one, each is passed
 * once.
 *
 * Invariants: a topic has watches, or is being told of; it is in the table, and in `dirty` when its
 * status may be another. Daemon process, loop thread.
 */
#include "services/health.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "services/services.h"

/* Powers of two. As many as are moved in some milliseconds. */
#define BUCKETS_FEWEST 64u
#define BUCKETS_MOST   65536u

struct health_topic {
	struct health *health; /* borrow */
	struct list node;      /* of its bucket */
	struct list dirty_node;
	struct list watches;
	enum health_status status;
	bool telling; /* stays, though it may have no watch */
	char name[];
};

struct health {
	const struct services *services; /* borrow */
	struct hash_key key;
	struct list *buckets; /* own; struct health_topic.node, by name */
	size_t n_buckets;
	struct list dirty;
	size_t n_topics;
	size_t looked_at; /* index of the version that decided about "" last */
	uint64_t visits;
	bool serving; /* start-up is over */
	bool draining;
};

static struct list *new_buckets(size_t n)
{
	struct list *buckets = calloc(n, sizeof(*buckets));

	for (size_t i = 0; buckets && i < n; i++)
		list_init(&buckets[i]);
	return buckets;
}

int health_new(struct health **ret_health, const struct services *x)
{
	_cleanup_(health_freep) struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->services = x;
	list_init(&h->dirty);
	hash_key_make(&h->key);
	h->n_buckets = BUCKETS_FEWEST;
	h->buckets = new_buckets(h->n_buckets);
	if (!h->buckets)
		return -ENOMEM;
	*ret_health = steal_ptr(h);
	return 0;
}

struct health *health_free(struct health *h)
{
	if (!h)
		return NULL;
	assert(h->n_topics == 0);
	free(h->buckets);
	free(h);
	return NULL;
}

bool health_serving(const struct health *h)
{
	return h->serving && !h->draining;
}

bool health_draining(const struct health *h)
{
	return h->draining;
}

uint64_t health_visits(const struct health *h)
{
	return h->visits;
}

/* --- status ----------------------------------------------------------------------------------- */

/* Is there a version whose readiness is this? From where it was found last, around. What is to
 * replace another one is not asked for yet. */
static bool any_version(struct health *h, bool ready)
{
	const struct dispatch *d = h->services->dispatch;
	size_t n = dispatch_n_versions(d);

	for (size_t i = 0; i < n; i++) {
		size_t at = (h->looked_at + i) % n;
		const struct version *v = dispatch_version(d, at);

		h->visits++;
		if (version_serving(v) != ready || version_replaces(v))
			continue;
		h->looked_at = at;
		return true;
	}
	return false;
}

static bool models_serve(struct health *h)
{
	if (h->services->settings->strict_readiness)
		return !any_version(h, false);
	return any_version(h, true) || !any_version(h, false);
}

static bool is_service(const struct health *h, const char *name)
{
	for (const struct service *const *s = h->services->list; *s; s++) {
		if (!strcmp((*s)->name, name))
			return true;
	}
	return false;
}

static enum health_status status_of(const struct health *h, bool serves)
{
	return serves && !h->draining ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

enum health_status health_status(struct health *h, const char *name)
{
	const struct version *v;

	if (name[0] == '\0')
		return status_of(h, h->serving && !h->draining && models_serve(h));
	if (is_service(h, name))
		return status_of(h, h->serving);
	v = dispatch_find_version(h->services->dispatch, name, strlen(name));
	return v ? status_of(h, version_serving(v)) : HEALTH_UNKNOWN;
}

/* --- topics ----------------------------------------------------------------------------------- */

static struct list *bucket_of(struct health *h, const char *name)
{
	return &h->buckets[hash_keyed(&h->key, name, strlen(name)) & (h->n_buckets - 1)];
}

/* Without memory for more buckets they get longer. */
static void grow(struct health *h)
{
	struct list *old = h->buckets;
	struct list *buckets = new_buckets(2 * h->n_buckets);

	if (!buckets)
		return;
	h->buckets = buckets;
	h->n_buckets *= 2;
	for (size_t i = 0; i < h->n_buckets / 2; i++) {
		list_for_each (&old[i], it) {
			list_remove(it);
			list_push_back(
				bucket_of(h, list_entry(it, struct health_topic, node)->name), it);
		}
	}
	free(old);
}

static struct health_topic *find_topic(struct health *h, const char *name)
{
	list_for_each (bucket_of(h, name), it) {
		struct health_topic *t = list_entry(it, struct health_topic, node);

		h->visits++;
		if (!strcmp(t->name, name))
			return t;
	}
	return NULL;
}

static struct health_topic *new_topic(struct health *h, const char *name)
{
	size_t n = strlen(name) + 1;
	struct health_topic *t = malloc(sizeof(*t) + n);

	if (!t)
		return NULL;
	if (h->n_topics >= h->n_buckets && h->n_buckets < BUCKETS_MOST)
		grow(h);
	*t = (struct health_topic){.health = h, .status = health_status(h, name)};
	memcpy(t->name, name, n);
	list_init(&t->watches);
	list_init(&t->dirty_node);
	list_init(&t->node);
	list_push_back(bucket_of(h, name), &t->node);
	h->n_topics++;
	return t;
}

static void release_topic(struct health_topic *t)
{
	if (t->telling || !list_empty(&t->watches))
		return;
	list_remove(&t->node);
	list_remove(&t->dirty_node);
	t->health->n_topics--;
	free(t);
}

static void mark(struct health *h, const char *name)
{
	struct health_topic *t = find_topic(h, name);

	if (t && list_empty(&t->dirty_node))
		list_push_back(&h->dirty, &t->dirty_node);
}

static void mark_all(struct health *h)
{
	for (size_t i = 0; i < h->n_buckets; i++) {
		list_for_each (&h->buckets[i], it) {
			struct health_topic *t = list_entry(it, struct health_topic, node);

			list_remove(&t->dirty_node);
			list_push_back(&h->dirty, &t->dirty_node);
		}
	}
}

/* Any watch may end meanwhile: each is moved back before it is told. */
static void tell(struct health_topic *t)
{
	struct list all;
	struct list *node;

	list_init(&all);
	while ((node = list_first(&t->watches))) {
		list_remove(node);
		list_push_back(&all, node);
	}
	t->telling = true;
	while ((node = list_first(&all))) {
		struct health_watch *w = list_entry(node, struct health_watch, node);

		list_remove(node);
		list_push_back(&t->watches, node);
		t->health->visits++;
		w->on_status(w);
	}
	t->telling = false;
	release_topic(t);
}

void health_flush(struct health *h)
{
	struct list *node;

	while ((node = list_first(&h->dirty))) {
		struct health_topic *t = list_entry(node, struct health_topic, dirty_node);
		enum health_status status = health_status(h, t->name);

		list_remove(node);
		h->visits++;
		if (status == t->status && !h->draining)
			continue;
		t->status = status;
		tell(t);
	}
}

/* --- what happens ----------------------------------------------------------------------------- */

void health_set_serving(struct health *h, bool serving)
{
	h->serving = serving;
	mark_all(h);
	health_flush(h);
}

void health_set_draining(struct health *h)
{
	h->draining = true;
	mark_all(h);
	health_flush(h);
}

void health_model_changed(struct health *h, const struct version *v)
{
	mark(h, version_settings(v)->name);
	mark(h, "");
}

int health_watch(struct health *h, struct health_watch *w, const char *name)
{
	struct health_topic *t = find_topic(h, name);

	if (!t)
		t = new_topic(h, name);
	if (!t)
		return -ENOMEM;
	w->topic = t;
	list_init(&w->node);
	list_push_back(&t->watches, &w->node);
	return 0;
}

void health_unwatch(struct health_watch *w)
{
	struct health_topic *t = w->topic;

	if (!t)
		return;
	w->topic = NULL;
	list_remove(&w->node);
	release_topic(t);
}

enum health_status health_watched(const struct health_watch *w)
{
	return w->topic->status;
}
