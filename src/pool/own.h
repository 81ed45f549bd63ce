/*
 * own.h: workers of a model's own: their processes begin when the model comes and end when it goes, so that a
 * crash, a hang or a leak costs nobody else, and unloading it gives back all of its memory. For src/pool alone.
 *
 * A pool has places for max_model_workers of them. A model takes as many of them as it needs, or none; one
 * that finds too few waits where others are about to leave theirs, else it has failed, until there are enough.
 */
#ifndef POOL_OWN_H
#define POOL_OWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct pool;
struct pool_model;
struct worker;

/* Make the places, behind those that are shared. */
void own_make(struct pool *p);
/* Should it have some of its own, by its settings or its backend? */
bool own_is_meant(const struct pool_model *m);
/* From now on it does; its processes are started soon, or when there are enough places. */
void own_begin(struct pool_model *m);
/* It does from now on where there are enough places now. Returns whether there are. */
_must_use_ bool own_try(struct pool_model *m);
/* m was retired, or shares workers again: its processes end, behind its batches in flight. */
void own_leave(struct pool_model *m);
/* m is served by shared workers, too: nobody new is bound to its own (worker_is_ending()), and when nobody is any more they end, as by
 * own_leave(). To be called again until then. */
void own_relieve(struct pool_model *m);
/* Those that are not about to end stay after all. Returns whether there are any. */
_must_use_ bool own_stay(struct pool_model *m);
/* It has none any more: their processes have ended (asserted). */
void own_free(struct pool_model *m);
/* Places whose process has ended are free again, for those that wait. Once a turn of the loop. */
void own_sweep(struct pool *p);

/* m waits for places that are about to be free. */
bool own_may_come(const struct pool_model *m);
/* Returns out. */
const char *own_format_wait(const struct pool_model *m, char *out, size_t cap);

/* m may be loaded on the device again: start what rests. */
void own_wake(struct pool_model *m, uint32_t device_index);
#endif
