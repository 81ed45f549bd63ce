/*
 * lifecycle_double.h: src/models as services see it, played by the test: who asks is written down, and waits
 * until the test answers. Included by dispatch_double.h.
 */
#ifndef TESTS_UNIT_SERVICES_LIFECYCLE_DOUBLE_H
#define TESTS_UNIT_SERVICES_LIFECYCLE_DOUBLE_H

#include <stdio.h>

#include "models/lifecycle.h"
#include "models/overlay.h"
#include "models/path.h"

struct lifecycle {
	char asked[256]; /* "load m/2 unload m/ reload m/ reload all refresh" */
	struct list waits;
	struct lifecycle_item items[8];
	size_t n_items;
	size_t n_forgotten; /* the first list leaves out so many at the end, for want of memory */
	unsigned n_lists;
	bool explicit;
	const char *failed_version, *failed_detail; /* borrow */
	bool loads_on_request;
	uint32_t n_references;
	struct lifecycle_counters counters;
	struct models_settings settings;
	uint64_t expired_ttl_ms; /* of lifecycle_expire() */
	bool other_settings;	 /* what lifecycle_has_settings() says of any */
	struct overlay *overlay; /* borrow: of the load that was asked for last */
	bool whole;		 /* was it in place of the model's files? */
};

static inline void double_lifecycle_init(struct lifecycle *l)
{
	*l = (struct lifecycle){.explicit = true};
	list_init(&l->waits);
}

static inline void double_lifecycle_ask(struct lifecycle *l, const char *what, const char *name,
	const char *version, struct lifecycle_wait *w)
{
	size_t n = strlen(l->asked);

	snprintf(l->asked + n, sizeof(l->asked) - n, "%s%s %s/%s", n ? " " : "", what, name,
		version);
	list_push_back(&l->waits, &w->node);
}

/* Answer the first that waits; false: nobody does. */
static inline bool double_lifecycle_answer(
	struct lifecycle *l, enum lifecycle_code code, const char *text)
{
	struct list *node = list_first(&l->waits);
	struct lifecycle_wait *w;

	if (!node)
		return false;
	w = list_entry(node, struct lifecycle_wait, node);
	list_remove(node);
	w->version = l->failed_version;
	w->detail = l->failed_detail;
	w->on_done(w, code, text);
	return true;
}

void lifecycle_load(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w)
{
	l->overlay = overlay;
	l->whole = overlay_is_whole(overlay);
	double_lifecycle_ask(l, "load", name, version, w);
}

void lifecycle_unload(
	struct lifecycle *l, const char *name, const char *version, struct lifecycle_wait *w)
{
	double_lifecycle_ask(l, "unload", name, version, w);
}

void lifecycle_reload(struct lifecycle *l, const char *name, struct lifecycle_wait *w)
{
	double_lifecycle_ask(l, "reload", name, "", w);
}

void lifecycle_reload_all(struct lifecycle *l, struct lifecycle_wait *w)
{
	double_lifecycle_ask(l, "reload", "all", "", w);
}

void lifecycle_refresh(struct lifecycle *l, struct lifecycle_wait *w)
{
	double_lifecycle_ask(l, "refresh", "", "", w);
}

void lifecycle_forget(struct lifecycle_wait *w)
{
	if (w->node.next)
		list_remove(&w->node);
}

/* How many it has this time. */
static inline size_t double_lifecycle_n_items(const struct lifecycle *l)
{
	return ((struct lifecycle *)l)->n_lists++ ? l->n_items : l->n_items - l->n_forgotten;
}

void lifecycle_list(const struct lifecycle *l,
	void (*on_item)(void *data, const struct lifecycle_item *item), void *data)
{
	size_t n = double_lifecycle_n_items(l);

	for (size_t i = 0; i < n; i++)
		on_item(data, &l->items[i]);
}

void lifecycle_list_wrong(const struct lifecycle *l,
	void (*on_item)(void *data, const struct lifecycle_item *item), void *data)
{
	size_t n = double_lifecycle_n_items(l);

	for (size_t i = 0; i < n; i++) {
		if (l->items[i].wrong)
			on_item(data, &l->items[i]);
	}
}

bool lifecycle_explicit(const struct lifecycle *l)
{
	return l->explicit;
}

void lifecycle_load_to_refer(struct lifecycle *l, const char *name, const char *version,
	struct overlay *overlay, struct lifecycle_wait *w)
{
	l->overlay = overlay;
	double_lifecycle_ask(l, "get", name, version, w);
}

bool lifecycle_has_settings(
	const struct lifecycle *l, const char *name, const struct overlay *overlay)
{
	(void)name;
	return !overlay || !l->other_settings;
}

int lifecycle_refer(struct lifecycle *l, const char *name)
{
	(void)name;
	l->n_references++;
	return 0;
}

uint32_t lifecycle_unrefer(struct lifecycle *l, const char *name)
{
	(void)name;
	return --l->n_references;
}

uint32_t lifecycle_references(const struct lifecycle *l, const char *name)
{
	(void)name;
	return l->n_references;
}

struct lifecycle_expired lifecycle_expire(struct lifecycle *l, uint64_t ttl_ms)
{
	l->expired_ttl_ms = ttl_ms;
	return (struct lifecycle_expired){.n = 2, .bytes = 300};
}

bool lifecycle_model_of_path(const struct lifecycle *l, const char *path, char *name, size_t cap)
{
	static const char *const repositories[] = {"/models", NULL};

	(void)l;
	return path_find_model(repositories, path, name, cap);
}

bool lifecycle_loads_on_request(const struct lifecycle *l)
{
	return l->loads_on_request;
}

const struct models_settings *lifecycle_settings(const struct lifecycle *l)
{
	return &l->settings;
}

struct lifecycle_counters lifecycle_counters(const struct lifecycle *l)
{
	return l->counters;
}

#endif
