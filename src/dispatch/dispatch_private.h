/* dispatch_private.h: struct dispatch, from which everything in src/dispatch hangs. */
#ifndef DISPATCH_DISPATCH_PRIVATE_H
#define DISPATCH_DISPATCH_PRIVATE_H

#include "dispatch/alarm.h"
#include "dispatch/dispatch.h"
#include "dispatch/lease_private.h"
#include "dispatch/populate.h"
#include "dispatch/scheduler.h"

#define DISPATCH_ENDING_TEXT "modeld is shutting down"

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
	bool killed;
	bool pool_drained;
	bool dirty;	 /* there may be something to schedule */
	bool scheduling; /* inside dispatch_schedule() */

	struct model *models; /* own */
	size_t n_models;
	struct model **by_name;		/* own: sorted */
	struct pool_model *pool_models; /* own: lives as long as the pool */
	struct pool *pool;		/* own */
	struct lease_desk desk;
	struct populate populate;
	struct scheduler scheduler;

	struct alarm alarm;  /* the first held batch is due */
	uv_timer_t wait;     /* the first deadline in a queue, or wait for a worker, ends; ms */
	uint64_t wait_at_ns; /* what `wait` is set for; CLOCK_NO_DEADLINE: stopped */
	uv_idle_t idle;	     /* active while dirty: the loop does not sleep then */
	int n_handles;	     /* of these three, not closed yet */

	uint32_t n_requests; /* queued or in flight */
	uint32_t n_clients;
	uint32_t n_regions; /* not gone yet */
	uint64_t last_region;
	uint64_t activity; /* requests submitted and batches answered */
};

/* Something changed that dispatch_schedule() should look at; it will be called again soon. */
void dispatch_wake(struct dispatch *d);
/* A region is gone: the last thing that a drain waits for. From the loop. */
void dispatch_region_gone(struct dispatch *d);
/* Requests are refused: it drains or ends. */
bool dispatch_draining(const struct dispatch *d);
/* Fail a request (LEAVING) of a model that waiting is of no use for. */
void dispatch_fail_unavailable(
	struct dispatch *d, struct model *m, struct request *r, uint64_t now_ns);

#endif
