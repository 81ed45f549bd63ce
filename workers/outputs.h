/*
 * outputs.h: the output arena and which batch holds what of it. An output is memory of one batch
 * until that batch is released, or given back earlier.
 */
#ifndef WORKERS_OUTPUTS_H
#define WORKERS_OUTPUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/arena.h"
#include "shm/span.h"

enum {
	OUTPUTS_E_FULL = 1,   /* held by batches that were not released yet */
	OUTPUTS_E_LARGE = 2,  /* above the arena's limit */
	OUTPUTS_E_MEMORY = 3, /* the host has none */
};

struct outputs;
struct output;

/* With its first segment, new. Errors as arena_new(), and -ENOMEM. */
_must_use_ int outputs_new(struct outputs **ret_outputs, const struct arena_options *options);
struct outputs *outputs_free(struct outputs *o);
DEFINE_CLEANUP(struct outputs *, outputs_free)

/*
 * Memory of `length` bytes for `batch`, 64-byte aligned and resident; ret_output is borrowed until it is given
 * back or its batch is released. Calls malloc() only until it has held as many at once before.
 *
 * OUTPUTS_E_FULL, OUTPUTS_E_LARGE, OUTPUTS_E_MEMORY, -ENOMEM
 */
_must_use_ int outputs_alloc(
	struct outputs *o, uint64_t batch, uint64_t length, struct output **ret_output);
/* Give back one. */
void outputs_give_back(struct outputs *o, struct output *output);
/* Give back all of a batch; harmless for one that holds nothing. */
void outputs_release(struct outputs *o, uint64_t batch);
/* Does the batch hold anything? */
bool outputs_holds(const struct outputs *o, uint64_t batch);

void *output_data(const struct output *output);
struct span output_span(const struct output *output);
/* For counters and messages. */
const struct arena *outputs_arena(const struct outputs *o);

/*
 * Segments that the daemon must know of. The next one that was made since (borrow; it stays until it is
 * removed), and the id of the next one that is given up; NULL, 0: none. Each is told once, and a new one
 * before it is given up.
 */
struct segment *outputs_next_new(struct outputs *o);
uint64_t outputs_next_idle(struct outputs *o);
/* Give up what was idle long enough, as of now: outputs_next_idle() tells. */
void outputs_tick(struct outputs *o, uint64_t now_ns);
/* The daemon has unmapped it: the caller's to free. NULL: it was not given up. */
struct segment *outputs_remove(struct outputs *o, uint64_t id);

/* Should more of the arena be made resident, ahead of need? Then, when there is nothing better to
 * do, outputs_populate() does a fraction of a millisecond's worth of it. */
bool outputs_wants_pages(struct outputs *o);
void outputs_populate(struct outputs *o);

#endif
