/* wish.c: what callers asked for. Daemon process, loop thread. */
#include "models/wish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WISH(at) list_entry(at, struct wish, node)

static bool has(const uint64_t *list, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == number)
			return true;
	}
	return false;
}

static int put(uint64_t **list, size_t *n, uint64_t number)
{
	uint64_t *all;

	if (has(*list, *n, number))
		return 0;
	all = realloc(*list, (*n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	all[(*n)++] = number;
	*list = all;
	return 0;
}

static void take(uint64_t *list, size_t *n, uint64_t number)
{
	for (size_t i = 0; i < *n; i++) {
		if (list[i] != number)
			continue;
		list[i] = list[--*n];
		return;
	}
}

static void clear(struct wish *w)
{
	free(w->more);
	free(w->without);
	w->more = w->without = NULL;
	w->n_more = w->n_without = 0;
}

void wishes_init(struct wishes *w)
{
	list_init(&w->list);
}

void wishes_release(struct wishes *w)
{
	struct list *node;

	while (w->list.next && (node = list_first(&w->list))) {
		list_remove(node);
		clear(WISH(node));
		free(WISH(node));
	}
}

const struct wish *wishes_find(const struct wishes *w, const char *name)
{
	list_for_each (&w->list, node) {
		if (!strcmp(WISH(node)->name, name))
			return WISH(node);
	}
	return NULL;
}

/* NULL: no memory */
static struct wish *find_or_make(struct wishes *w, const char *name)
{
	struct wish *wish = (struct wish *)wishes_find(w, name);

	if (wish)
		return wish;
	wish = calloc(1, sizeof(*wish) + strlen(name) + 1);
	if (!wish)
		return NULL;
	memcpy(wish->name, name, strlen(name) + 1);
	list_push_back(&w->list, &wish->node);
	return wish;
}

int wishes_add(struct wishes *w, const char *name, uint64_t number)
{
	struct wish *wish = find_or_make(w, name);
	int r;

	if (!wish)
		return -ENOMEM;
	if (number == 0) {
		clear(wish);
		wish->by_policy = true;
		return 0;
	}
	r = put(&wish->more, &wish->n_more, number);
	if (!r)
		take(wish->without, &wish->n_without, number);
	return r;
}

int wishes_remove(struct wishes *w, const char *name, uint64_t number)
{
	struct wish *wish = find_or_make(w, name);
	int r;

	if (!wish)
		return -ENOMEM;
	if (number == 0) {
		clear(wish);
		wish->by_policy = false;
		return 0;
	}
	r = put(&wish->without, &wish->n_without, number);
	if (!r)
		take(wish->more, &wish->n_more, number);
	return r;
}

bool wish_has(const struct wish *w, uint64_t number, bool chosen)
{
	return has(w->more, w->n_more, number) ||
	       (w->by_policy && chosen && !has(w->without, w->n_without, number));
}

bool wish_empty(const struct wish *w)
{
	return !w->by_policy && w->n_more == 0;
}
