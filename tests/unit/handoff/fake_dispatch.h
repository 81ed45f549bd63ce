/*
 * fake_dispatch.h: stands in for src/dispatch below the handoff: one model "m" of one input "x" and two
 * outputs "y", "z". Requests wait until the test answers them; regions are gone when it says so.
 */
#ifndef TESTS_UNIT_HANDOFF_FAKE_DISPATCH_H
#define TESTS_UNIT_HANDOFF_FAKE_DISPATCH_H

#include <stdbool.h>

#include "base/list.h"
#include "dispatch/dispatch.h"
#include "dispatch/region.h"

struct region {
	struct dispatch *dispatch;
	unsigned refs;
	int fd;
	uint64_t size;
	bool writable;
	void (*on_gone)(void *data, int fd);
	void *data;
	struct list node; /* in dispatch.regions */
	const char *device;
	void (*on_tried)(void *data, int e, const char *why); /* is due; NULL: nobody asks */
};

struct request {
	struct dispatch *dispatch;
	struct list node; /* in dispatch.requests when submitted */
	unsigned refs;
	bool submitted, running, withdrawn;
	bool partial; /* it may be answered in part */
	uint64_t deadline_ns;
	request_done_fn on_done;
	void (*on_end)(void *data); /* held; NULL: it is not */
	void *data;
	struct request_input input;
	struct request_target targets[2];
	uint32_t n_targets;
	uint32_t n_wanted;
	uint32_t n_parameters;
	char traceparent[64], tracestate[64];
};

struct dispatch {
	struct list requests;
	struct list regions;
	unsigned n_requests, n_regions, n_clients, n_cancelled;
	unsigned n_leased;   /* references to what was answered */
	unsigned n_disposed; /* descriptors closed off the loop */
	bool over_share;     /* output_share_over() */
	enum grpc_status refusal;
	bool undeclared;
	bool holds;	     /* what is not declared is worth waiting for */
	struct list held;    /* struct request.node: dispatch_hold() */
	bool absent;	     /* the model is not loaded */
	int demand_error;    /* of dispatch_demand() */
	bool no_worker;	     /* that would try a region */
	struct list demands; /* struct demand.node */
};

/* The one there is: a model knows no dispatch here. */
extern struct dispatch fake;

void fake_init(void);
/* Who waits for the model to be loaded has waited long enough, or it was. */
void fake_end_holds(void);
/* Who has the model loaded is told what came of it. */
void fake_end_demands(enum grpc_status status, const char *text);
/* The first that was submitted. */
struct request *fake_first_request(void);
/* A worker has it: withdrawing takes until it is answered. */
void fake_run(struct request *r);
/* Answer it: y and, if n is 2, z, of `length` bytes each: at its target where that has room. */
void fake_answer(struct request *r, enum grpc_status status, size_t n, uint64_t length);
/* The same for one ahead of the last. The bytes at y's and z's beginning are `mark`. */
void fake_part(struct request *r, size_t n, uint64_t length, uint8_t mark);
/* What comes of each region that a worker is asked of: as pool_memory_try() tells it. */
void fake_end_tries(int e, const char *why);
/* on_gone of all regions without references. */
void fake_regions_gone(void);

#endif
