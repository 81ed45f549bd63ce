/*
 * input_arena.h: the arena that requests' tensors are received into: its segments are made known to the
 * pool, and given back to the host when they were not used for a while.
 */
#ifndef DISPATCH_INPUT_ARENA_H
#define DISPATCH_INPUT_ARENA_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/pool.h"
#include "shm/arena.h"
#include "shm/slots.h"

struct input_arena {
	uv_loop_t *loop;      /* borrow */
	struct pool *pool;    /* borrow */
	struct arena *arena;  /* own */
	struct slots ids;     /* struct input_segment */
	struct list segments; /* the same, in the arena or leaving it */
	uint32_t n_leaving;   /* ... that are not with the host yet */
	uv_timer_t timer; /* the owner's to init and close, and its data; active while there is more
				 than the first segment */
	void (*on_left)(void *data); /* a segment is the host's again */
	void *data;		     /* borrow: on_left's */
};

/* on_left is called from the loop. Errors as arena_new(), -ENOMEM; deinit() then, too. */
_must_use_ int input_arena_init(struct input_arena *a, uv_loop_t *loop, struct pool *pool,
	const struct arena_options *options, void (*on_left)(void *data), void *data);
/* No process maps anything, n_leaving is 0. Accepts a zeroed one. */
void input_arena_deinit(struct input_arena *a);
/* Something was lent: see to it that what becomes idle is given up. */
void input_arena_kick(struct input_arena *a);

#endif
