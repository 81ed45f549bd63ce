/*
 * early.h: requests for versions that no worker has loaded yet. Nobody knows what belongs into them, so they are no more
 * than a place in line and a charge; they end when there is more to say, or when they have waited long enough. For
 * src/dispatch alone; others call dispatch_hold().
 */
#ifndef DISPATCH_EARLY_H
#define DISPATCH_EARLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct request;

struct early {
	struct list requests; /* struct request.node */
	uint64_t
		wait_ns; /* when the first of them has waited long enough; CLOCK_NO_DEADLINE: there is none */
	uint64_t retry_wait_ms;
	bool changed;		  /* something has happened to some version */
	bool closed;		  /* none waits any more */
	void (*wake)(void *data); /* early_run() is to be called */
	void *data;		  /* borrow: wake's */
};

void early_init(struct early *e, uint64_t retry_wait_ms, void (*wake)(void *data), void *data);
/* End those that have nothing to wait for any more. Calls back. */
void early_run(struct early *e, uint64_t now_ns);
/* A request that is EARLY is given up. */
void early_drop(struct request *r);

#endif
