/*
 * outputs.h: the output arena, and who holds what of it. An output belongs to a hold. That is a run's at
 * first; once it has a number it is the daemon's, which says by that number when it is released.
 */
#ifndef WORKERS_OUTPUTS_H
#define WORKERS_OUTPUTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "shm/arena.h"
#include "shm/span.h"

enum {
	OUTPUTS_E_FULL = 1,   /* held, and not released yet */
	OUTPUTS_E_LARGE = 2,  /* above the arena's limit */
	OUTPUTS_E_MEMORY = 3, /* the host has none */
	OUTPUTS_E_HOLDS = 4,  /* there are as many holds as may be */
};

struct outputs;
struct output;
struct hold;

/* With its first segment, new. holds_max: at once. Errors as arena_new(), and -ENOMEM. */
_must_use_ int outputs_new(
	struct outputs **ret_outputs, const struct arena_options *options, uint32_t holds_max);
struct outputs *outputs_free(struct outputs *o);
DEFINE_CLEANUP(struct outputs *, outputs_free)

/* A hold of nothing yet, borrowed until it is dropped or released. OUTPUTS_E_HOLDS, -ENOMEM */
_must_use_ int outputs_hold_new(struct outputs *o, struct hold **ret_hold);
/*
 * Memory of `length` bytes for a hold that has no number, 64-byte aligned and resident; ret_output is borrowed until
 * it is given back or its hold is gone. Calls malloc() only until it has held as many at once before.
 *
 * OUTPUTS_E_FULL, OUTPUTS_E_LARGE, OUTPUTS_E_MEMORY, -ENOMEM
 */
_must_use_ int outputs_alloc(
	struct outputs *o, struct hold *hold, uint64_t length, struct output **ret_output);
/* Give back one. */
void outputs_give_back(struct outputs *o, struct output *output);
/* The number by which the daemon releases it: higher than all before, not 0. Always the same. */
uint64_t outputs_number(struct outputs *o, struct hold *hold);
/* Give back the hold and all that it has, whether it has a number or not. */
void outputs_drop(struct outputs *o, struct hold *hold);
/* The same by its number. -ENOENT: there is none of it */
_must_use_ int outputs_release(struct outputs *o, uint64_t number);
/*
 * After OUTPUTS_E_FULL or OUTPUTS_E_HOLDS for `hold` (NULL: it could not be made): wait until something is given back, at most until
 * then; `lock`, of whoever owns it, is held.
 *
 * -ETIMEDOUT  nothing was, or nothing can be: only `hold` itself has any, or somebody waited in vain since something was
 * -ECANCELED  outputs_end_waits()
 */
_must_use_ int outputs_wait(
	struct outputs *o, const struct hold *hold, pthread_mutex_t *lock, uint64_t until_ns);
/* Whoever waits, or would, does not any more. `lock` is held. */
void outputs_end_waits(struct outputs *o);

bool hold_is_empty(const struct hold *hold);

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
