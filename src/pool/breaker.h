/*
 * breaker.h: keeps a model that crashes workers of a device away from that device for a while, and says when it
 * is to be tried, and where.
 *
 *                 so many crashes within the window
 *  CLOSED ---------------------------------------------> OPEN -cool-down over-> TRIAL
 *     ^  ^ \\---- a crash or a hang while it was loaded ------------------------->/ |
 *     |  +------ loaded, where running it was never the reason -----------------/  | another crash
 *     |                                                                 loaded /   v
 *     +--a batch done-- PROBATION <-------------------------------------------/   OPEN
 *                           +--- another crash ---> OPEN
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
	BREAKER_OPEN,	   /* the model is not loaded on the device */
	BREAKER_TRIAL,	   /* a process of its own may load it, which serves nobody */
	BREAKER_PROBATION, /* one worker may load it */
};

/* So many bytes are kept of why a process ended. */
#define BREAKER_WHY_MAX 320u
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
	bool runs_badly;   /* it was opened from CLOSED or PROBATION: loading it proves little */
	const void *who;   /* TRIAL, PROBATION: who tries; NULL: nobody yet */
	char *why;	   /* own: of the last crash; NULL: there was none, or none is known */
};

/* limit > 0. -ENOMEM */
_must_use_ int breaker_init(
	struct breaker *b, uint32_t limit, uint64_t window_ns, uint64_t cooldown_ns);
/* Accepts a zeroed breaker. */
void breaker_deinit(struct breaker *b);

/* May `who`, a worker that serves, load the model? */
bool breaker_admits(const struct breaker *b, const void *who);
/* Is it to be tried in a process of its own, and nobody does yet? */
bool breaker_wants_trial(const struct breaker *b);
/* `who` loads it: it was admitted, or is the process of its own. */
void breaker_try(struct breaker *b, const void *who);
/* `who` is gone, and the model was not to blame. */
void breaker_leave(struct breaker *b, const void *who);
/* The model is to blame for a crash of `who`. why: in words for people, or ""; it is copied. Returns whether the breaker has
 * opened by it. */
bool breaker_crash(struct breaker *b, const void *who, const char *why, uint64_t now_ns);
/* A process ended while it loaded the model: CLOSED -> TRIAL. why: as above. Returns whether it was. */
bool breaker_suspect(struct breaker *b, const char *why);
/* It was loaded, or refused in an orderly manner, in a process of its own: TRIAL -> CLOSED or PROBATION. Returns
 * whether it was. */
bool breaker_loaded(struct breaker *b);
/* The model has run well, or at least failed in an orderly manner. Returns whether the breaker has
 * closed by it. */
bool breaker_success(struct breaker *b);
/* Returns whether the cool-down is over: OPEN -> TRIAL. */
bool breaker_tick(struct breaker *b, uint64_t now_ns);
/* When to call breaker_tick(); CLOCK_NO_DEADLINE: never. */
uint64_t breaker_deadline(const struct breaker *b);
/* Why the last of the crashes was that are remembered; "": there is none, or nothing is known. */
const char *breaker_why(const struct breaker *b);
/* "circuit breaker open on cpu:0: 5 crashes in 12 s, the last one: signal 6 (Aborted); next try in 48 s". Returns out. */
const char *breaker_format(
	const struct breaker *b, const char *device, uint64_t now_ns, char *out, size_t cap);

#endif
