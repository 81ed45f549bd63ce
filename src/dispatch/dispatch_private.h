/* dispatch_private.h: struct dispatch, from which everything in src/dispatch hangs. */
#ifndef DISPATCH_DISPATCH_PRIVATE_H
#define DISPATCH_DISPATCH_PRIVATE_H

#include "dispatch/alarm.h"
#include "dispatch/catalogue.h"
#include "dispatch/demand.h"
#include "dispatch/dispatch.h"
#include "dispatch/early.h"
#include "dispatch/input_arena.h"
#include "dispatch/lease_private.h"
#include "dispatch/overdue.h"
#include "dispatch/populate.h"
#include "dispatch/region_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/tally.h"
#include "dispatch/watchdog.h"

enum dispatch_state {
	DISPATCH_OPEN,	   /* takes requests */
	DISPATCH_DRAINING, /* refuses them; those it has finish */
	DISPATCH_ENDING,   /* the pool was told to drain, or was killed */
	DISPATCH_DRAINED,  /* on_drained was called */
};

struct dispatch {
	const struct dispatch_settings *settings; /* borrow */
	const struct dispatch_events *events;	  /* borrow */
	void *data;				  /* borrow: of events */
	enum dispatch_state state;
	bool started; /* dispatch_start() was called */
	bool killed;
	bool pool_drained;
	bool dirty;	 /* there may be something to schedule */
	bool scheduling; /* inside dispatch_schedule() */

	struct catalogue catalogue;
	char *default_model; /* own; NULL: none */
	struct pool *pool;   /* own */
	struct input_arena input;
	struct lease_desk desk;
	struct region_desk regions;
	struct tally tally;
	struct early early;
	struct demands demands;
	struct populate populate;
	struct scheduler scheduler;

	struct alarm alarm;  /* the first held batch is due */
	uv_timer_t wait;     /* the first deadline in a queue, or wait for a worker, ends; ms */
	uint64_t wait_at_ns; /* what `wait` is set for; CLOCK_NO_DEADLINE: stopped */
	struct watchdog watchdog;
	struct overdue overdue;
	uv_idle_t
		idle; /* active while dirty, or while the pool waits for more: the loop does not sleep then */
	int n_handles; /* of these six, not closed yet */
};

/* There may be something to schedule: the loop does not sleep until dispatch_schedule() was called. */
void dispatch_wake(struct dispatch *d);
/* Tells what clients are charged for (log, debug), and asserts that it is nothing. */
void dispatch_close_accounts(const struct dispatch *d);

#endif
