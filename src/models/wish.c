/* wish.c: what callers asked for. Daemon process, loop thread. */
#include "models/wish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "models/overlay.h"

#define WISH(at)    list_entry(at, struct wish, node)
#define BUCKETS_MIN 16u

static bool has(const struct wish_numbers *l, uint64_t number)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i] == number)
			return true;
	}
	return false;
}

static int put(struct wish_numbers *l, uint64_t number)
{
	uint64_t *all;

	if (has(l, number))
		return 0;
	all = realloc(l->list, (l->n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	all[l->n++] = number;
	l->list = all;
	return 0;
}

static void take(struct wish_numbers *l, uint64_t number)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->list[i] != number)
			continue;
		l->list[i] = l->list[--l->n];
		return;
	}
}

void wish_clear(struct wish *w)
{
	free(w->more.list);
	free(w->without.list);
	w->more = w->without = (struct wish_numbers){0};
	w->by_policy = false;
}

void wish_set_overlay(struct wish *w, struct overlay *overlay)
{
	overlay_ref(overlay);
	overlay_unref(w->overlay);
	w->overlay = overlay;
}

void wishes_init(struct wishes *w)
{
	*w = (struct wishes){0};
	list_init(&w->list);
}

static void wish_free(struct wish *w)
{
	list_remove(&w->node);
	wish_clear(w);
	overlay_unref(w->overlay);
	free(w->gpu_bytes);
	free(w);
}

void wishes_release(struct wishes *w)
{
	struct list *node;

	while (w->list.next && (node = list_first(&w->list)))
		wish_free(WISH(node));
	free(w->buckets);
	w->buckets = NULL;
	w->n_buckets = w->n = 0;
}

size_t wishes_count(const struct wishes *w)
{
	return w->n;
}

static struct wish **bucket_of(const struct wishes *w, const char *name)
{
	return &w->buckets[hash_bytes(name, strlen(name)) & (w->n_buckets - 1)];
}

const struct wish *wishes_find(const struct wishes *w, const char *name)
{
	const struct wish *at = w->n_buckets ? *bucket_of(w, name) : NULL;

	while (at && strcmp(at->name, name) != 0)
		at = at->next;
	return at;
}

static void enter_bucket(struct wishes *w, struct wish *wish)
{
	struct wish **bucket = bucket_of(w, wish->name);

	wish->next = *bucket;
	*bucket = wish;
}

void wishes_drop(struct wishes *w, struct wish *wish)
{
	struct wish **at = bucket_of(w, wish->name);

	while (*at != wish)
		at = &(*at)->next;
	*at = wish->next;
	w->n--;
	wish_free(wish);
}

/* Buckets for one more, so that they stay short. */
static int make_room(struct wishes *w)
{
	size_t n = w->n_buckets ? 2 * w->n_buckets : BUCKETS_MIN;
	struct wish **buckets;

	if (w->n < w->n_buckets)
		return 0;
	buckets = calloc(n, sizeof(struct wish *));
	if (!buckets)
		return -ENOMEM;
	free(w->buckets);
	w->buckets = buckets;
	w->n_buckets = n;
	list_for_each (&w->list, node)
		enter_bucket(w, WISH(node));
	return 0;
}

struct wish *wishes_need(struct wishes *w, const char *name)
{
	struct wish *wish = (struct wish *)wishes_find(w, name);

	if (wish)
		return wish;
	if (make_room(w))
		return NULL;
	wish = calloc(1, sizeof(*wish) + strlen(name) + 1);
	if (!wish)
		return NULL;
	memcpy(wish->name, name, strlen(name) + 1);
	list_push_back(&w->list, &wish->node);
	enter_bucket(w, wish);
	w->n++;
	return wish;
}

/* From now on the number is among `to` and not among `from`, two of a wish's. */
static int move(struct wish_numbers *from, struct wish_numbers *to, uint64_t number)
{
	int r = put(to, number);

	if (!r)
		take(from, number);
	return r;
}

int wishes_add(struct wishes *w, const char *name, uint64_t number)
{
	struct wish *wish = wishes_need(w, name);

	if (!wish)
		return -ENOMEM;
	if (number > 0)
		return move(&wish->without, &wish->more, number);
	wish_clear(wish);
	wish->by_policy = true;
	return 0;
}

int wishes_remove(struct wishes *w, const char *name, uint64_t number)
{
	struct wish *wish = wishes_need(w, name);

	if (!wish || (number > 0 && move(&wish->more, &wish->without, number)))
		return -ENOMEM;
	if (number == 0)
		wish_clear(wish);
	if (wish_empty(wish))
		wish_set_overlay(wish, NULL);
	return 0;
}

bool wish_has(const struct wish *w, uint64_t number, bool chosen)
{
	return has(&w->more, number) || (w->by_policy && chosen && !has(&w->without, number));
}

bool wish_empty(const struct wish *w)
{
	return !w->by_policy && w->more.n == 0;
}
