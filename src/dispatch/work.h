/*
 * work.h: the scheduler's side of a version: what waits for it, what runs, how long it takes. For
 * src/dispatch alone.
 */
#ifndef DISPATCH_WORK_H
#define DISPATCH_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/output_estimate.h"
#include "dispatch/queue.h"

struct place;
struct request;
struct request_answer;
struct sequences;
struct version;

struct work {
	struct version *version; /* borrow: it owns this */
	struct list
		node; /* in scheduler.work while it has requests queued, or a worker is kept free for it */
	struct queue queue;
	struct sequences *sequences; /* own; NULL: its requests belong to none */
	struct list ordered;	     /* struct request.order_node (ordering.h) */
	uint32_t n_early;	     /* requests that wait for it to be loaded (early.h) */
	uint32_t in_flight;	     /* requests in batches */
	uint64_t compute_ns;	     /* of a batch: a mean that favours the last ones */
	uint64_t batches_timed;	     /* 0: compute_ns is not known */
	struct output_estimate outputs;
	struct place *reservation; /* borrow: the worker kept free for a suspect; NULL: none */
	uint64_t unready_since_ns; /* 0: a ready worker held it when last looked at */
	uint64_t unbound_since_ns; /* 0: so did one of each device that requests are bound to */
	char overdue[128]; /* why it does not serve though it is ready (overdue.h); "": it does */
};

/* The version's, which knows it then. -ENOMEM */
_must_use_ int work_new(struct work **ret_work, struct version *v);
/* Asserts that nothing is queued or in flight. Accepts NULL; returns NULL. */
struct work *work_free(struct work *w);

/* Requests (struct request.node) that were not sent after all, or to no purpose: back to where they were.
 * Those for which there is no memory fail. */
void work_requeue(struct work *w, struct list *taken, uint64_t now_ns);

/* How long a batch should take; unknown_ns where none has come back yet. */
uint64_t work_expectation(const struct work *w, uint64_t unknown_ns);
/* A batch took so long. */
void work_note_time(struct work *w, uint64_t compute_ns);
/* An answer of r, or a part of one, has come. What has a target elsewhere takes no output memory, and says nothing
 * of it. */
void work_note_output(struct work *w, const struct request *r, const struct request_answer *a);
/* May r be sent, as far as its client's share of output memory goes? */
bool work_has_room(struct work *w, const struct request *r);
/* The suspect to go next: the first one whose client has room in its share for an answer. NULL: none. */
struct request *work_suspect(struct work *w);
/* State SENT: its client is charged with what its answer should take, as long as it is that. */
void work_set_sent(struct work *w, struct request *r);

#endif
