/* models.h: the models that this worker holds, by the number that Run messages use. */
#ifndef WORKERS_MODELS_H
#define WORKERS_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "workers/model.h"

/* By number, which may be any: the daemon never uses one again. All zero is an empty table. */
struct models {
	struct model **buckets; /* own: chains */
	size_t n_buckets;	/* a power of two; 0: none yet */
	size_t n;
};

/* Unloads what is loaded. */
void models_deinit(struct models *t);
/*
 * Takes the model over.
 *
 * -EEXIST  another one has its number
 * -ENOMEM
 */
_must_use_ int models_put(struct models *t, struct model *m);
/* NULL: no model has the number. */
struct model *models_get(const struct models *t, uint32_t number);
/* The same, and it is the caller's from now on. */
struct model *models_take(struct models *t, uint32_t number);

#endif
