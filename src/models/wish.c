/* wish.c: what callers asked for. Daemon process, loop thread. */
#include "models/wish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WISH(at) list_entry(at, struct wish, node)

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

void wishes_init(struct wishes *w)
{
	list_init(&w->list);
}

void wishes_release(struct wishes *w)
{
	struct list *node;

	while (w->list.next && (node = list_first(&w->list))) {
		list_remove(node);
		wish_clear(WISH(node));
		free(WISH(node));
	}
}

size_t wishes_count(const struct wishes *w)
{
	size_t n = 0;

	list_for_each (&w->list, node)
		n++;
	return n;
}

const struct wish *wishes_find(const struct wishes *w, const char *name)
{
	list_for_each (&w->list, node) {
		if (!strcmp(WISH(node)->name, name))
			return WISH(node);
	}
	return NULL;
}

struct wish *wishes_need(struct wishes *w, const char *name)
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

	if (!wish)
		return -ENOMEM;
	if (number > 0)
		return move(&wish->more, &wish->without, number);
	wish_clear(wish);
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
