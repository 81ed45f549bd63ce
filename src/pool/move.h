/*
 * move.h: models with isolation = auto: they share workers until they have taken one of those down, then have
 * some of their own, and come back when these have run well for long. For src/pool alone.
 */
#ifndef POOL_MOVE_H
#define POOL_MOVE_H

#include <stdint.h>

struct pool;
struct pool_model;
struct worker;

/* m is to blame for the end of w: it moves to workers of its own, where there are enough places for them. Of one
 * that has some its good behaviour begins anew. */
void move_out(struct pool_model *m, const struct worker *w);
/* Move back what has behaved well; its own workers end when others have it. */
void move_tick(struct pool *p, uint64_t now_ns);
/* When to call move_tick() */
uint64_t move_deadline(const struct pool *p);

#endif
