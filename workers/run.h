/*
 * run.h: one call of a backend: the outputs that it asks for, checked and kept until they are sent
 * or dropped.
 */
#ifndef WORKERS_RUN_H
#define WORKERS_RUN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "workers/backend.h"
#include "workers/model.h"
#include "workers/offload.h"
#include "workers/outputs.h"
#include "workers/regions.h"

/* Rows that every output of joined requests must have, and its declared shape; RUN_ROWS_ANY where a
 * request runs alone: a model may make other shapes than it declares. */
#define RUN_ROWS_ANY UINT64_MAX

/* Why a run was given up, for whoever may hear of it. */
#define RUN_CANCELLED_TEXT "nobody waits for an answer any more"

/* The end of an output that its backend promises to fill, until it has. */
#define RUN_MARK_BYTES 16u

struct run_output {
	struct output *memory;		  /* own; NULL: none, or the target's own memory */
	void *data;			  /* NULL: the backend has not asked for it */
	const struct wire_target *target; /* NULL: none */
	void *target_data;		  /* its memory; NULL without a target */
	bool target_on_device;		  /* that is the device's */
	bool at_target;			  /* it ends up there; else in the output arena */
	void *device;			  /* where the backend writes it; NULL: to `data` */
	bool marked; /* `data` ends with the run's mark unless it was written */
	enum dtype dtype;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	uint64_t bytes;
};

/* How a run ended that had returned MODELD_PENDING; the backend's own threads come here. */
struct completion {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	bool done;
	enum modeld_code code;
	struct modeld_error error;
};

/* Zeroed, then run_init() once; run_begin() starts each use. */
struct run {
	struct modeld_batch batch; /* what the backend sees */
	struct completion completion;
	struct offload offload;
	struct outputs *outputs;       /* borrow */
	const struct regions *regions; /* borrow */
	pthread_mutex_t *memory;       /* borrow: held to use outputs and regions */
	enum modeld_code (*on_answer)(void *data, struct modeld_error *error);
	void (*on_full)(void *data);
	void *data; /* borrow: on_answer's and on_full's */
	uint64_t wait_ns;
	const struct model *model;
	const struct wire_item *item; /* NULL: joined */
	/* Set by the caller ahead of run_begin(): the lane that runs, and the number of the batch that does; the
	 * inputs of all items, by item; borrow. */
	const struct lane *lane;
	uint64_t number;
	const struct modeld_tensor *items;
	size_t n_items;
	uint8_t mark[RUN_MARK_BYTES]; /* random, so that no honest output ends with it */
	struct hold *hold; /* own: of all that lies in the output arena; NULL: nothing does */
	uint64_t rows;
	uint64_t compute_ns;
	uint64_t waited_ns;		     /* for output memory */
	const struct modeld_tensor **inputs; /* own: the batch's; grown to the most seen */
	size_t inputs_cap;
	struct run_output *given; /* own, by output, and so is wanted; grown likewise */
	uint8_t *wanted;
	size_t given_cap;
	bool empty; /* it has ended without an output, as a decoupled model may */
	/* Why output() returned NULL for `failed_output`; code is MODELD_OK when nothing failed. */
	enum modeld_code failed_code;
	size_t failed_output;
	struct modeld_error failed;
};

/* What a run works on; borrowed for its life. */
struct run_parts {
	struct outputs *outputs;
	const struct regions *regions;
	pthread_mutex_t *memory; /* held to use outputs and regions */
	struct pinned *pinned;	 /* NULL on a host */
	/* The run has an answer, and goes on: take its outputs and its hold. Any thread. As run_answer() */
	enum modeld_code (*on_answer)(void *data, struct modeld_error *error);
	/* A run of one item waits for output memory from now on: what could be sent, so that memory is released, is to
	 * be. Any thread */
	void (*on_full)(void *data);
	void *data;	  /* borrow: on_answer's and on_full's */
	uint64_t wait_ns; /* for so long; 0: runs fail at once */
};

void run_init(struct run *r, const struct run_parts *parts);
void run_deinit(struct run *r);
/* Make room for such a model. -ENOMEM */
_must_use_ int run_reserve(struct run *r, const struct model *m);
/*
 * Prepare to run `inputs`; run_reserve() has made room. `want` says which outputs are wanted; `item` is the
 * one item with its parameters and targets, NULL for several joined ones. All are borrowed until
 * the run's outputs were sent or dropped.
 *
 * MODELD_INTERNAL, MODELD_INVALID  the item names outputs or targets that there are not
 */
enum modeld_code run_begin(struct run *r, const struct model *m, const struct modeld_tensor *inputs,
	const struct wire_item *want, const struct wire_item *item, uint64_t rows,
	struct modeld_error *error);
/*
 * Run the backend on the lane, until the run is over. On MODELD_OK every wanted output is there, its content is in its final place
 * and unwanted ones are gone. On failure nothing is held, and error says why; MODELD_FATAL: the
 * process cannot go on. compute_ns is set.
 */
enum modeld_code run_execute(struct run *r, struct modeld_error *error);
/* run_call.c: the call alone. What came of its outputs is not looked at; compute_ns is set. */
enum modeld_code run_call(struct run *r, struct modeld_error *error);
/* The host's complete(), see backend.h. */
void run_complete(const struct modeld_batch *batch, enum modeld_code code, const char *text);
/* The host's answer(), see backend.h. */
enum modeld_code run_answer(const struct modeld_batch *batch, struct modeld_error *error);
/* Where an output lies, as it goes on the wire. */
struct span run_output_span(const struct run_output *o);
/* Bytes of the next `rows` of `total` rows of an output, from byte `from` on. */
uint64_t run_part_bytes(const struct run_output *o, uint64_t from, uint64_t rows, uint64_t total);
/* The hold of the outputs that lie in the output arena: the caller's from then on. NULL: none does. */
struct hold *run_take_hold(struct run *r);
/* Joined items: may what each names as targets be written? MODELD_INTERNAL. Behind run_begin(). */
enum modeld_code run_check_targets(
	struct run *r, const struct wire_item *item, struct modeld_error *error);
/* The memory of an item's target; NULL: not in a region that can be written. */
void *run_target_data(const struct run *r, const struct wire_target *target);
/* Give back one output. */
void run_drop_output(struct run *r, size_t output);
/* Give everything back. */
void run_drop(struct run *r);

#endif
