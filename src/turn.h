/*
 * turn.h: what is done once an iteration of the loop, before and after it polls; whether it sleeps then, or looks again
 * at once; and how long what it does takes. Daemon process, loop thread.
 */
#ifndef TURN_H
#define TURN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/busy_poll.h"
#include "base/histogram.h"

struct turn_events {
	/* Move what was produced. Before polling, and after. */
	void (*move)(void *data);
	/* What else is due, before polling. */
	void (*rest)(void *data);
	/* Grows while there is work: the loop spins on for as long as it pays. */
	uint64_t (*activity)(void *data);
	/* How long the only request that runs should take: ns. 0: none runs; UINT64_MAX: several do, or nobody knows. */
	uint64_t (*lone_ns)(void *data);
};

/* What the loop may look for without sleeping. */
enum turn_sought {
	TURN_NOTHING,
	TURN_ANSWER,  /* of a quick request that runs alone */
	TURN_REQUEST, /* the next one, where the last was such a one */
	TURN_ANYTHING,
	TURN_N_SOUGHT,
};

struct turn {
	const struct turn_events *events; /* borrow */
	void *data;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while spinning: the loop does not sleep then */
	struct busy_poll polls[TURN_N_SOUGHT];
	enum turn_sought sought;
	bool spins;	   /* it may, ever */
	bool vain;	   /* the last turn looked, and found nothing */
	uint64_t activity; /* when last seen */
	uint64_t woke_ms;  /* when the loop last came back from polling; 0: not yet */
	struct histogram time;
};

/*
 * Must not move in memory. Nothing is called yet. busy_poll_us: for so long it looks for anything after work. Where that is 0,
 * lone_poll_us: for so long it looks for the answer of a quick request that runs alone, and for the next request. 0: it sleeps.
 */
void turn_init(struct turn *t, uv_loop_t *loop, uint32_t busy_poll_us, uint32_t lone_poll_us,
	const struct turn_events *events, void *data);
void turn_start(struct turn *t);
/* Run the loop before closing it. */
void turn_close(struct turn *t);
/* How often it looked again instead of sleeping, and found something: TURN_N_SOUGHT of them. */
const struct busy_poll *turn_polls(const struct turn *t);
/* How long turns took, without the time that the loop slept: ns, counted in whole milliseconds. */
const struct histogram *turn_time(const struct turn *t);

#endif
