/*
 * inputs.h: from the spans of a Run message to what a backend gets: resolved, checked against the
 * model's declaration, and joined. Inputs are passed where they lie; they are copied only
 *  - from a region, when they are BYTES or not 64-byte aligned; or on the device, while the model takes them on the host,
 *  - to join several requests whose inputs do not happen to lie one behind the other.
 */
#ifndef WORKERS_INPUTS_H
#define WORKERS_INPUTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "shm/view.h"
#include "workers/backend.h"
#include "workers/model.h"
#include "workers/offload.h"
#include "workers/regions.h"
#include "workers/scratch.h"

struct inputs {
	const struct regions *regions; /* borrow */
	pthread_mutex_t *memory;       /* borrow: held to use regions */
	struct offload *offload;       /* borrow: by which what lies on the device is copied */
	struct scratch scratch;
	/* What inputs_join() made, by input. */
	struct modeld_tensor *joined;		 /* own */
	int64_t (*joined_dims)[TENSOR_RANK_MAX]; /* own */
	bool *apart;				 /* own: the items' parts do not lie together */
	size_t cap;
};

/* Accepts a zeroed object. */
void inputs_deinit(struct inputs *in);
/* Make room for joining `n` inputs. -ENOMEM */
_must_use_ int inputs_reserve(struct inputs *in, size_t n);

/*
 * Resolve an item's inputs into ret_tensors[m->info.n_inputs], which borrow from the item. Anything
 * but MODELD_OK is a fault of the daemon or of a region, and error says which.
 */
enum modeld_code inputs_resolve(const struct inputs *in, const struct model *m,
	const struct wire_item *item, struct modeld_tensor *ret_tensors,
	struct modeld_error *error);
/* Make resolved inputs of one item fit to run: copies what must be copied, in place in `tensors`.
 * Copies are valid until the next call of inputs_settle(), inputs_join() or inputs_end(). */
enum modeld_code inputs_settle(struct inputs *in, const struct model *m,
	struct modeld_tensor *tensors, struct modeld_error *error);
/* Can these items (with resolved inputs, m->info.n_inputs each) be run as one? */
bool inputs_joinable(const struct model *m, const struct wire_item *items,
	const struct modeld_tensor *tensors, size_t n_items, uint64_t *ret_rows);
/*
 * Join them into in->joined (inputs_reserve() made room); valid as the copies of inputs_settle().
 *
 * SCRATCH_E_LIMIT  the copy would be larger than scratch.max
 * -ENOMEM
 */
_must_use_ int inputs_join(struct inputs *in, const struct model *m,
	const struct modeld_tensor *tensors, size_t n_items, uint64_t rows);
/* Forget copies. */
void inputs_end(struct inputs *in);

#endif
