/*
 * breaker.h: keeps a model that crashes workers of a device away from that device for a while.
 *
 *  CLOSED -so many crashes within the window-> OPEN -cool-down over-> TRIAL -a batch done-> CLOSED
 *                                               ^----- another crash ----+
 *
 * CLOSED, crashes are forgotten when enough batches have run well since the last: workers that are
 * killed from outside, or by a rare poison request, do not take a working model away.
 */
#ifndef POOL_BREAKER_H
#define POOL_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,  /* the model is not loaded on the device */
	BREAKER_TRIAL, /* one worker may load it */
};

/* So many batches that ran well make earlier crashes forgotten. */
#define BREAKER_GOOD_BATCHES 256u

struct breaker {
	enum breaker_state state;
	uint32_t limit; /* crashes that open it */
	uint64_t window_ns;
	uint64_t cooldown_ns;
	uint64_t *times;  /* own: of the last `limit` crashes, a ring */
	uint32_t n_times; /* used of it */
	uint32_t next;
	uint32_t good;	   /* batches that ran well since the last crash */
	uint32_t crashes;  /* since it was closed last, within windows */
	uint64_t first_ns; /* of these, the first and the last */
	uint64_t last_ns;
	uint64_t until_ns; /* OPEN: the end of the cool-down */
	const void *trial; /* TRIAL: who tries; NULL: nobody yet */
};

/* limit > 0. -ENOMEM */
_must_use_ int breaker_init(
	struct breaker *b, uint32_t limit, uint64_t window_ns, uint64_t cooldown_ns);
/* Accepts a zeroed breaker. */
void breaker_deinit(struct breaker *b);

/* May `who` load the model? */
bool breaker_admits(const struct breaker *b, const void *who);
/* `who` was admitted and loads it. */
void breaker_try(struct breaker *b, const void *who);
/* `who` is gone, and the model was not to blame. */
void breaker_leave(struct breaker *b, const void *who);
/* The model is to blame for a crash. Returns whether the breaker has opened by it. */
bool breaker_crash(struct breaker *b, uint64_t now_ns);
/* The model has run well, or at least failed in an orderly manner. Returns whether the breaker has
 * closed by it. */
bool breaker_success(struct breaker *b);
/* Returns whether the cool-down is over: OPEN -> TRIAL. */
bool breaker_tick(struct breaker *b, uint64_t now_ns);
/* When to call breaker_tick(); CLOCK_NO_DEADLINE: never. */
uint64_t breaker_deadline(const struct breaker *b);
/* "circuit breaker open on cpu:0: 5 crashes in 12 s; next try in 48 s". Returns out. */
const char *breaker_format(
	const struct breaker *b, const char *device, uint64_t now_ns, char *out, size_t cap);

#endif
