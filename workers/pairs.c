/*
 * pairs.c: copies of key and value strings. Worker process, its one thread.
 */
#include "workers/pairs.h"

#include <errno.h>
#include <string.h>

int pairs_copy(struct pairs *p, const struct wire_pair *items, size_t n)
{
	if (n == 0)
		return 0;
	p->items = calloc(n, sizeof(*p->items));
	p->asked = calloc(n, sizeof(*p->asked));
	if (!p->items || !p->asked)
		return -ENOMEM;
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		p->items[i].key = strdup(items[i].key);
		p->items[i].value = strdup(items[i].value);
		if (!p->items[i].key || !p->items[i].value)
			return -ENOMEM;
	}
	return 0;
}

void pairs_deinit(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free((void *)p->items[i].key);
		free((void *)p->items[i].value);
	}
	free(p->items);
	free(p->asked);
	*p = (struct pairs){0};
}

void pairs_ask(const struct pairs *p, size_t i)
{
	atomic_store_explicit(&p->asked[i], true, memory_order_relaxed);
}

const char *pairs_next_unasked(const struct pairs *p, const char *prefix)
{
	size_t n = strlen(prefix);

	for (size_t i = 0; i < p->n; i++) {
		if (strncmp(p->items[i].key, prefix, n) != 0 || atomic_load(&p->asked[i]))
			continue;
		pairs_ask(p, i);
		return p->items[i].key + n;
	}
	return NULL;
}

const char *pairs_find(const struct wire_pair *items, size_t n, const char *key)
{
	for (size_t i = n; i > 0; i--) {
		if (!strcmp(items[i - 1].key, key))
			return items[i - 1].value;
	}
	return NULL;
}
