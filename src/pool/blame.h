/*
 * blame.h: which model is to blame for the end of a process, and which device is kept from it for that. For src/pool
 * alone.
 */
#ifndef POOL_BLAME_H
#define POOL_BLAME_H

#include <stdint.h>

struct pool;
struct pool_model;
struct worker;

/* The model has taken a process of w's device down. */
void pool_blame(struct pool_model *m, struct worker *w);
/* w ended while it loaded the model: it is tried in a process of its own before workers load it again. */
void pool_suspect(struct pool_model *m, struct worker *w);
/* Either, or neither: w's process was reaped. */
void pool_settle_blame(struct worker *w);
/* It was loaded, or refused in an orderly manner, there: they may. */
void pool_trust(struct pool_model *m, struct worker *w);
/* The model does as it should on w's device. */
void pool_praise(struct pool_model *m, struct worker *w);
/* Breakers whose cool-down is over. */
void pool_tick_breakers(struct pool *p, uint64_t now_ns);
/* When the first is: CLOCK_NO_DEADLINE for none. */
uint64_t pool_breakers_deadline(const struct pool *p);

#endif
