/*
 * offload.h: the tensors of one run that a backend takes or gives in device memory: inputs are copied
 * there ahead of the run, each part from where it lies, and outputs to where they belong behind it.
 * On a host there are none, and nothing here is called. Worker process, the thread of the run.
 */
#ifndef WORKERS_OFFLOAD_H
#define WORKERS_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/backend.h"
#include "workers/pinned.h"
#include "workers/transfer.h"

/* Zeroed, then reserved; used again and again. */
struct offload {
	struct transfer *transfer; /* borrow: of the lane; NULL: a host */
	struct pinned *pinned;	   /* borrow */
	/* By input; what the backend gets instead. */
	struct modeld_tensor *tensors; /* own */
	struct transfer_input *inputs; /* own */
	size_t inputs_cap;
	struct transfer_part *parts; /* own */
	size_t parts_cap;
};

/* What a run's inputs are made of. */
struct offload_inputs {
	const struct modeld_declaration *declared; /* `n` of them */
	const struct modeld_tensor **tensors;	   /* as the backend gets them; changed */
	size_t n;
	/* The inputs of all items, n each, of which those in `tensors` are joined. */
	const struct modeld_tensor *items;
	size_t n_items;
};

/* Is the input to be in device memory? */
bool offload_wants(const struct modeld_declaration *d);
void offload_deinit(struct offload *o);

/*
 * Begin a run: copy what belongs on the device, and let `in->tensors` say so.
 *
 * MODELD_EXHAUSTED   out of device memory, or of the host's
 * MODELD_INTERNAL    the device refused something
 * MODELD_FATAL       this process cannot go on
 */
enum modeld_code offload_begin(
	struct offload *o, const struct offload_inputs *in, struct modeld_error *error);
/* Device memory for an output, until offload_end(): zeroes, since its pages had another run's data, whose ever, and
 * nobody could tell what the backend has written. The same codes. */
enum modeld_code offload_alloc(
	struct offload *o, uint64_t bytes, void **ret_data, struct modeld_error *error);
/* Copy an output to where it belongs, by offload_finish(). The same codes. */
enum modeld_code offload_out(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error);
/* The same to memory of the device. */
enum modeld_code offload_within(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error);
/* Wait for all that the run has put into its stream. The same codes. */
enum modeld_code offload_finish(struct offload *o, struct modeld_error *error);
/*
 * While no run is under way: bring `bytes` from the device to the host; to the device. They are there when this returns. The same
 * codes.
 */
enum modeld_code offload_fetch(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error);
enum modeld_code offload_put(
	struct offload *o, void *to, const void *from, uint64_t bytes, struct modeld_error *error);
/* The run is over, however it ended; `code` is how so far. Waits for what is under way. Returns the
 * code, or what is worse. */
enum modeld_code offload_end(struct offload *o, enum modeld_code code, struct modeld_error *error);

#endif
