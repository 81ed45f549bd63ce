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
	if (!p->items)
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
	p->items = NULL;
	p->n = 0;
}

const char *pairs_find(const struct wire_pair *items, size_t n, const char *key)
{
	for (size_t i = n; i > 0; i--) {
		if (!strcmp(items[i - 1].key, key))
			return items[i - 1].value;
	}
	return NULL;
}
