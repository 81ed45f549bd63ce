/* models.h: the models that this worker holds, by the number that Run messages use. */
#ifndef WORKERS_MODELS_H
#define WORKERS_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "workers/backend.h"
#include "workers/backend_loader.h"
#include "workers/pairs.h"
#include "workers/transfer.h"

enum {
	MODELS_E_FAILED =
		1, /* the backend is not there or could not load it: see the error's text */
	MODELS_E_IN_USE = 2, /* a model has this number already */
	MODELS_E_FATAL = 3,  /* the process cannot go on: see the error's text */
};

/* A loaded model. Read-only for all but models.c, but for what is said below. */
struct model {
	struct model *next;	       /* in its bucket */
	struct modeld_model_spec spec; /* strings: own */
	struct pairs parameters;
	struct device *device;		      /* borrow; NULL: a host */
	const struct modeld_backend *backend; /* borrow */
	void *handle;			      /* own: the backend's */
	void **instances; /* own: the backend's, or the handle where it has none */
	/* own, by instance: its stream and its copies; NULL on a host */
	struct transfer **transfers;
	uint32_t n_instances;
	struct modeld_model_info info; /* its declarations: own; their names: the backend's */
	uint32_t number;
	uint32_t max_batch_size; /* rows; 0: never joined */
	/* The longest of the last runs, each counting half as much as the next; UINT64_MAX: none yet.
	 * Set by the loop. */
	uint64_t compute_ns;
};

/* By number, which may be any: the daemon never uses one again. All zero is an empty table of a host. */
struct models {
	struct device *device;	/* borrow; set before the first load; NULL: a host */
	struct model **buckets; /* own: chains */
	size_t n_buckets;	/* a power of two; 0: none yet */
	size_t n;
};

/* Unloads what is loaded. */
void models_deinit(struct models *t);

/*
 * Load a model and give it its number.
 *
 * MODELS_E_FAILED, MODELS_E_IN_USE, MODELS_E_FATAL   nothing is kept
 * -ENOMEM
 */
_must_use_ int models_load(struct models *t, struct backends *backends,
	const struct wire_load *load, const struct model **ret_model,
	struct modeld_error *ret_error);
/* -ENOENT: no model has the number. */
_must_use_ int models_unload(struct models *t, uint32_t number);
/* NULL: no model has the number. */
struct model *models_get(const struct models *t, uint32_t number);

/* Bytes that the model holds, as far as its backend knows. */
uint64_t model_memory_bytes(const struct model *m);
/* The declarations of `n` tensors as they go on the wire; names and dims are borrowed. */
void model_describe(
	const struct modeld_declaration *list, size_t n, struct wire_declaration *ret_list);

#endif
