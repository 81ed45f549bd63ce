/* model.h: one model that this worker holds, with its lanes. */
#ifndef WORKERS_MODEL_H
#define WORKERS_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "proto/wire.h"
#include "workers/backend.h"
#include "workers/backend_loader.h"
#include "workers/device.h"
#include "workers/lane.h"
#include "workers/ledger.h"
#include "workers/pairs.h"

enum {
	MODEL_E_FAILED =
		1,	   /* the backend is not there or could not load it: see the error's text */
	MODEL_E_FATAL = 2, /* the process cannot go on: see the error's text */
};

/* A loaded model. Nothing changes once it is loaded, but for what is said below. */
struct model {
	struct model *next;	       /* models.c */
	struct modeld_model_spec spec; /* strings: own */
	struct pairs parameters;
	struct device *device;		      /* borrow; NULL: a host */
	enum device_priority priority;	      /* of its lanes' streams */
	const struct modeld_backend *backend; /* borrow */
	void *handle;			      /* own: the backend's */
	struct lane *lanes;		      /* own; used as crew.h says */
	uint32_t n_lanes;
	struct modeld_model_info info; /* its declarations: own; their names: the backend's */
	uint32_t number;
	uint32_t max_batch_size; /* rows; 0: never joined */
	bool leaving; /* by the loop's lock: it is to be unloaded, and given no more batches */
	/* The longest of the last runs, each counting half as much as the next; UINT64_MAX: none yet.
	 */
	_Atomic uint64_t compute_ns;
	struct share share; /* ledger.h: of the process's memory */
};

/*
 * Load a model and make its instances on `device` (NULL: a host), as the message says.
 *
 * MODEL_E_FAILED, MODEL_E_FATAL  nothing is kept
 * -ENOMEM
 */
_must_use_ int model_load(struct model **ret_model, struct backends *backends,
	struct device *device, const struct wire_load *load, struct modeld_error *ret_error);
/*
 * Have its backend judge the parameters of a model, which is not loaded; one without a name: the backend's settings.
 * *ret_unjudged: the backend does not say what it knows, or not on this device. Parameters that it did not ask for are
 * faults besides.
 *
 * BACKEND_E_REFUSED  there is no such backend: see the error's text
 * -ENOMEM
 */
_must_use_ int model_check(struct backends *backends, const struct wire_load *check,
	const struct modeld_faults *faults, bool *ret_unjudged, struct modeld_error *ret_error);
/* Unload it: no lane runs. Accepts NULL; returns NULL. */
struct model *model_unload(struct model *m);
DEFINE_CLEANUP(struct model *, model_unload)

/* Bytes that the model holds, as far as its backend knows. */
uint64_t model_memory_bytes(const struct model *m);
/* The declarations of `n` tensors as they go on the wire; names and dims are borrowed. */
void model_describe(
	const struct modeld_declaration *list, size_t n, struct wire_declaration *ret_list);

#endif
