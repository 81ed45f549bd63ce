/* catalogue.c: versions by name. Daemon process, loop thread. */
#include "dispatch/catalogue.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void catalogue_deinit(struct catalogue *c)
{
	for (size_t i = 0; i < c->n; i++)
		version_unref(c->versions[i]);
	free(c->versions);
	free(c->by_name);
	*c = (struct catalogue){0};
}

static int compare_name(const char *name, size_t n, const struct version *v)
{
	const char *other = version_settings(v)->name;
	int order = strncmp(name, other, n);

	return order || !other[n] ? order : -1;
}

/* Where in by_name it is, or belongs. */
static size_t place_of(const struct catalogue *c, const char *name, size_t n, bool *ret_found)
{
	size_t low = 0;
	size_t high = c->n;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_name(name, n, c->by_name[middle]);

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

static int grow(struct version ***list, size_t cap)
{
	struct version **bigger = realloc(*list, cap * sizeof(struct version *));

	if (!bigger)
		return -ENOMEM;
	*list = bigger;
	return 0;
}

static int make_room(struct catalogue *c)
{
	size_t cap = c->cap ? 2 * c->cap : 16;

	if (c->n < c->cap)
		return 0;
	if (grow(&c->versions, cap) || grow(&c->by_name, cap))
		return -ENOMEM;
	c->cap = cap;
	return 0;
}

int catalogue_add(struct catalogue *c, struct version *v)
{
	const char *name = version_settings(v)->name;
	bool found;
	size_t at = place_of(c, name, strlen(name), &found);

	if (found)
		return -EEXIST;
	if (make_room(c))
		return -ENOMEM;
	memmove(c->by_name + at + 1, c->by_name + at, (c->n - at) * sizeof(struct version *));
	c->by_name[at] = v;
	c->versions[c->n++] = v;
	return 0;
}

struct version *catalogue_find(const struct catalogue *c, const char *name, size_t n)
{
	bool found;
	size_t at;

	/* A NUL inside would hide the rest of it. */
	if (n == 0 || memchr(name, 0, n))
		return NULL;
	at = place_of(c, name, n, &found);
	return found ? c->by_name[at] : NULL;
}

struct version_counters catalogue_counters(const struct catalogue *c)
{
	struct version_counters sum = {0};

	for (size_t i = 0; i < c->n; i++) {
		const struct version_counters *one = version_counters(c->versions[i]);

		sum.requests_ok += one->requests_ok;
		sum.requests_failed += one->requests_failed;
		sum.batches += one->batches;
		sum.total_ns += one->total_ns;
	}
	return sum;
}
