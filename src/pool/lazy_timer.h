/*
 * lazy_timer.h: one timer for all that is due: set to the earliest thing known when something new comes up; when
 * it goes off and nothing is due yet (what was feared came in time), it is set anew. So whatever ends in time
 * hardly ever touches it. For src/pool alone.
 */
#ifndef POOL_LAZY_TIMER_H
#define POOL_LAZY_TIMER_H

#include <stdint.h>
#include <uv.h>

struct lazy_timer {
	uv_timer_t timer; /* timer.data: this */
	uint64_t at_ns;	  /* what it is set for; CLOCK_NO_DEADLINE: stopped */
	void (*on_due)(void *data);
	void *data; /* borrow: on_due's */
};

/* on_due is called from the loop, stopped then: to do what is due and arm it for what is next. */
void lazy_timer_init(struct lazy_timer *t, uv_loop_t *loop, void (*on_due)(void *data), void *data);
/* Go off at at_ns, if it would not earlier. 0: in the loop's next turn; CLOCK_NO_DEADLINE is harmless. */
void lazy_timer_arm(struct lazy_timer *t, uint64_t at_ns);
/* Asynchronous, as uv_close(); on_closed: with `data`, as on_due. */
void lazy_timer_close(struct lazy_timer *t, void (*on_closed)(void *data));

#endif
