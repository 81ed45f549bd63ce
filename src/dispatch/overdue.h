/*
 * overdue.h: notices models all of whose lanes have been busy with one batch each for much longer than usual: whoever
 * calls now would wait behind what may never end. Such a version is ready, and does not serve until one of
 * the batches is over. It also gives up what still runs when its deadline has passed. For src/dispatch alone.
 *
 * While anything is in flight it looks every OVERDUE_LOOK_MS.
 */
#ifndef DISPATCH_OVERDUE_H
#define DISPATCH_OVERDUE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct catalogue;
struct scheduler;
struct version;
struct work;

/* So many times what its batches took lately, and never less than so long; where nobody knows that, half of its
 * run_timeout_ms. */
#define OVERDUE_TIMES	4u
#define OVERDUE_MIN_MS	1000u
#define OVERDUE_LOOK_MS 250u

struct overdue {
	uv_timer_t timer;
	struct catalogue *catalogue; /* borrow */
	struct scheduler *scheduler; /* borrow */
	uint32_t n;		     /* works that are */
	bool armed;
};

void overdue_init(struct overdue *o, uv_loop_t *loop, struct catalogue *c, struct scheduler *s);
/* Once a turn of the loop. in_flight: anything is. */
void overdue_turn(struct overdue *o, bool in_flight);
/* Asynchronous, as uv_close(). */
void overdue_close(struct overdue *o, uv_close_cb on_closed);

#endif
