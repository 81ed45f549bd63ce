/* model_private.h: struct model, for src/dispatch alone. */
#ifndef DISPATCH_MODEL_PRIVATE_H
#define DISPATCH_MODEL_PRIVATE_H

#include "base/list.h"
#include "dispatch/model.h"
#include "dispatch/queue.h"

struct dispatch;
struct place;

struct model {
	struct dispatch *dispatch;	       /* borrow */
	const struct model_settings *settings; /* borrow: dispatch's life */
	uint32_t id;			       /* index in dispatch, the pool and on the wire */
	struct queue queue;
	uint32_t in_flight;	/* requests in batches */
	uint64_t compute_ns;	/* of a batch: a mean that favours the last ones */
	uint64_t batches_timed; /* 0: compute_ns is not known */
	struct model_counters counters;

	struct list work_node;	   /* in scheduler.work while it has requests queued */
	struct place *reservation; /* borrow: the worker kept free for a suspect; NULL: none */
	uint64_t unready_since_ns; /* 0: a ready worker held it when last looked at */
	bool announced_ready;	   /* what on_model last said */
	const char *announced_state;

	struct list spare_requests; /* struct request.node */
	uint32_t n_spare_requests;
};

/* settings borrowed. Allocates nothing. */
void model_init(
	struct model *m, struct dispatch *d, const struct model_settings *settings, uint32_t id);
/* Accepts a zeroed model. Asserts that nothing is queued or in flight. */
void model_deinit(struct model *m);
/* May requests wait a little for company? */
bool model_delays(const struct model *m);

#endif
