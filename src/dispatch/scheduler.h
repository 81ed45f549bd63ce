/*
 * scheduler.h: which worker gets the next batch of which version: the only policy. Binds late: nothing
 * leaves a queue before somebody can run it.
 */
#ifndef DISPATCH_SCHEDULER_H
#define DISPATCH_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/place.h"
#include "pool/pool.h"
#include "proto/wire.h"

struct batch;
struct dispatch_settings;
struct pool;
struct work;

struct scheduler {
	const struct dispatch_settings *settings; /* borrow */
	bool draining; /* nothing is held back for company, or waits for a worker */
	struct places places;
	struct batch *batches; /* own: as many as all workers have slots */
	struct list spare;     /* struct batch.node */
	struct list sent;      /* struct batch.node */
	struct list work;      /* struct work.node: whose turn it is comes first */
	uint32_t n_work;
	uint64_t turn_ns;      /* expected work that was sent in the turn of a version */
	uint64_t zeroed_bytes; /* of the last run: states that sequences began with */
	uint64_t due_ns;       /* of the last run: when the first held batch is due */
	uint64_t wait_ns;      /* of the last run: when the first deadline passes in a queue, or
	                              the first wait for a worker ends */
	struct wire_item items[WIRE_ITEMS_MAX]; /* scratch for worker_run() */
};

/* slots: of each worker, at most. settings: borrowed for the scheduler's life. -ENOMEM */
_must_use_ int scheduler_init(struct scheduler *s, struct pool *pool, uint32_t slots,
	const struct dispatch_settings *settings);
/* Accepts a zeroed scheduler. Asserts that nothing is sent and nothing waits. */
void scheduler_deinit(struct scheduler *s);
/* `w` has requests queued. Harmless when it is known. */
void scheduler_add(struct scheduler *s, struct work *w);
/* Send all that can be sent, fail what has waited too long; sets due_ns and wait_ns. Calls
 * on_done of requests that fail. */
void scheduler_run(struct scheduler *s, uint64_t now_ns);
/* The pool's on_done, on_partial and on_lost. Call on_done of the batch's requests. */
void scheduler_done(struct scheduler *s, void *tag, const struct pool_done *done);
void scheduler_partial(struct scheduler *s, void *tag, const struct pool_partial *partial);
void scheduler_lost(struct scheduler *s, void *tag, struct worker *w, enum lost how);
/* Answer everything queued or sent UNAVAILABLE; what was sent still has to come back. */
void scheduler_fail_all(struct scheduler *s, uint64_t now_ns);

/* As dispatch_lone_ns() */
uint64_t scheduler_lone_ns(const struct scheduler *s);
/* A work whose first request could be sent now; NULL: none, as it should be after scheduler_run(). */
struct work *scheduler_runnable(const struct scheduler *s, uint64_t now_ns);
/* Drain: what is queued is sent at once, and what no worker can run fails. */
void scheduler_drain(struct scheduler *s);

#endif
