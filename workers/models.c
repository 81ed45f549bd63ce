/*
 * models.c: a hash table. Worker process; the caller locks.
 */
#include "workers/models.h"

#include <errno.h>

#define BUCKETS_MIN 16u

/* Where the model with this number is, or would be put. The table has buckets. */
static struct model **find_link(const struct models *t, uint32_t number)
{
	struct model **at = &t->buckets[number & (t->n_buckets - 1)];

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

static void put(struct models *t, struct model *m)
{
	struct model **at = find_link(t, m->number);

	m->next = NULL;
	*at = m;
	t->n++;
}

/* Room for one more, so that chains are short. */
static int make_room(struct models *t)
{
	struct models bigger = {.n_buckets = t->n_buckets ? 2 * t->n_buckets : BUCKETS_MIN};

	if (t->n < t->n_buckets)
		return 0;
	bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (struct model *m = t->buckets[i], *next; m; m = next) {
			next = m->next;
			put(&bigger, m);
		}
	}
	free(t->buckets);
	*t = bigger;
	return 0;
}

void models_deinit(struct models *t)
{
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (struct model *m = t->buckets[i], *next; m; m = next) {
			next = m->next;
			model_unload(m);
		}
	}
	free(t->buckets);
	*t = (struct models){0};
}

struct model *models_get(const struct models *t, uint32_t number)
{
	return t->n_buckets > 0 ? *find_link(t, number) : NULL;
}

int models_put(struct models *t, struct model *m)
{
	int r;

	if (models_get(t, m->number))
		return -EEXIST;
	r = make_room(t);
	if (r)
		return r;
	put(t, m);
	return 0;
}

struct model *models_take(struct models *t, uint32_t number)
{
	struct model **at = t->n_buckets > 0 ? find_link(t, number) : NULL;
	struct model *m = at ? *at : NULL;

	if (m) {
		*at = m->next;
		m->next = NULL;
		t->n--;
	}
	return m;
}
