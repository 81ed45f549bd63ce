/*
 * roster.h: which workers a pool has, and in which order (pool.workers): those that models share, as many on each device as
 * the settings say, and where such are replaced one more of each, which rests (recycle.h); those for models alone (own.h); one
 * of each device for trials (trial.h). For src/pool alone.
 */
#ifndef POOL_ROSTER_H
#define POOL_ROSTER_H

#include "base/cleanup.h"

struct pool;

/* By p->settings. What was made until it failed goes with roster_free(). -ENOMEM */
_must_use_ int roster_make(struct pool *p);
/* None has a process. Accepts a pool without any. */
void roster_free(struct pool *p);

#endif
