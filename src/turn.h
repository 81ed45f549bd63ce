/*
 * turn.h: what is done once an iteration of the loop, before and after it polls; whether it sleeps then, or looks again
 * at once; and how long what it does takes. Daemon process, loop thread.
 */
#ifndef TURN_H
#define TURN_H

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
};

struct turn {
	const struct turn_events *events; /* borrow */
	void *data;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while spinning: the loop does not sleep then */
	struct busy_poll busy;
	uint64_t activity; /* when last seen */
	uint64_t woke_ms;  /* when the loop last came back from polling; 0: not yet */
	struct histogram time;
};

/* Must not move in memory. Nothing is called yet. */
void turn_init(struct turn *t, uv_loop_t *loop, uint32_t busy_poll_us,
	const struct turn_events *events, void *data);
void turn_start(struct turn *t);
/* Run the loop before closing it. */
void turn_close(struct turn *t);
/* How often it looked again instead of sleeping, and found something. */
const struct busy_poll *turn_busy_poll(const struct turn *t);
/* How long turns took, without the time that the loop slept: ns, counted in whole milliseconds. */
const struct histogram *turn_time(const struct turn *t);

#endif
