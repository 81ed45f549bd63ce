/*
 * service.c: finding a method by its path. Const after start.
 *
 * Invariant of the index: open addressing, at most half full, so a search ends at an empty slot.
 * Daemon process, loop thread.
 */
#include "grpc/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct slot {
	const struct method *method; /* borrow; NULL: empty */
	size_t n_path;
};

struct service_index {
	size_t mask;
	struct slot slots[];
};

/* The slot of a path, or the empty one where it would be. */
static const struct slot *find(const struct service_index *x, const char *path, size_t n)
{
	size_t i = hash_bytes(path, n) & x->mask;

	while (x->slots[i].method &&
		(x->slots[i].n_path != n || memcmp(x->slots[i].method->path, path, n) != 0))
		i = (i + 1) & x->mask;
	return &x->slots[i];
}

static int add(struct service_index *x, const struct method *m)
{
	size_t n = strlen(m->path);
	struct slot *slot = (struct slot *)find(x, m->path, n);

	if (slot->method)
		return -EEXIST;
	*slot = (struct slot){m, n};
	return 0;
}

int service_index_new(struct service_index **ret_index, const struct service *const *services)
{
	_cleanup_(service_index_freep) struct service_index *x = NULL;
	size_t n = 0;
	size_t cap = 8;

	for (size_t i = 0; services[i]; i++) {
		for (const struct method *m = services[i]->methods; m->path; m++)
			n++;
	}
	while (cap < 2 * n)
		cap *= 2;
	x = calloc(1, sizeof(*x) + cap * sizeof(x->slots[0]));
	if (!x)
		return -ENOMEM;
	x->mask = cap - 1;
	for (size_t i = 0; services[i]; i++) {
		for (const struct method *m = services[i]->methods; m->path; m++) {
			int r = add(x, m);

			if (r)
				return r;
		}
	}
	*ret_index = steal_ptr(x);
	return 0;
}

struct service_index *service_index_free(struct service_index *x)
{
	free(x);
	return NULL;
}

const struct method *service_index_find(const struct service_index *x, const char *path, size_t n)
{
	return find(x, path, n)->method;
}
