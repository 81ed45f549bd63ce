/*
 * lane.c: lanes and what waits on them; who runs them when is crew.c's business. Worker process.
 */
#include "workers/lane.h"

#include <string.h>

struct job *job_new(uint64_t batch, const uint8_t *message, size_t n)
{
	struct job *j = malloc(sizeof(*j) + n);

	if (!j)
		return NULL;
	list_init(&j->node);
	j->batch = batch;
	j->cancelled = false;
	j->n = n;
	if (n > 0)
		memcpy(j->message, message, n);
	return j;
}

void lane_init(struct lane *l, struct model *m, uint32_t index)
{
	l->model = m;
	l->index = index;
	list_init(&l->node);
	list_init(&l->jobs);
	atomic_init(&l->busy, false);
	atomic_init(&l->cancelled, 0);
}

bool lane_is_cancelled(const struct lane *l, uint64_t batch)
{
	return atomic_load_explicit(&l->cancelled, memory_order_relaxed) == batch;
}

void lane_deinit(struct lane *l)
{
	if (!l->model)
		return;
	list_remove(&l->node);
	list_for_each (&l->jobs, node) {
		list_remove(node);
		free(list_entry(node, struct job, node));
	}
}
