/*
 * watchdog.h: notices what should never be: a request that waits although a worker is free for it, over full
 * turns of the loop in which nothing was sent of its version. Somebody has forgotten to wake the scheduler
 * then. For src/dispatch alone.
 *
 * While anything is queued it looks every WATCH_MS. What it sees once may just have come; when it sees the same
 * request again WATCH_AGAIN_MS and two calls of watchdog_turn() later, and the version has sent no batch,
 * that is a stall: it is counted, the first is logged with the state of everything, and the scheduler is
 * woken.
 */
#ifndef DISPATCH_WATCHDOG_H
#define DISPATCH_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct scheduler;
struct work;

struct watchdog {
	uv_timer_t timer;
	struct scheduler *scheduler; /* borrow */
	void (*wake)(void *data);
	void *data; /* borrow: wake's */
	uint64_t turns;
	uint64_t stalls;
	bool armed;

	/* What was seen the last time; work NULL: nothing. Compared only. */
	const struct work *work;
	uint64_t oldest_ns;
	uint64_t batches;
	uint64_t turn;
};

void watchdog_init(struct watchdog *w, uv_loop_t *loop, struct scheduler *s,
	void (*wake)(void *data), void *data);
/* Once a turn of the loop, after the scheduler ran if it had to. waiting: anything is queued. */
void watchdog_turn(struct watchdog *w, bool waiting);
/* Asynchronous, as uv_close(). */
void watchdog_close(struct watchdog *w, uv_close_cb on_closed);

#endif
