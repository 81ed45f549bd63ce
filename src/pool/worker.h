/*
 * worker.h: one worker seen from here: state machine, slots, batches in flight. Driven by pool.c;
 * dispatch uses the functions below and pool.h, nothing else of this folder.
 */
#ifndef POOL_WORKER_H
#define POOL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "pool/pool.h"
#include "proto/wire.h"

enum worker_state {
	WORKER_SPAWNED, /* exec'ed; waiting for hello */
	WORKER_LOADING, /* hello came; the models that it begins with are loading; takes batches of those it has */
	WORKER_READY,	 /* takes batches; all were loaded, or failed to */
	WORKER_DRAINING, /* takes none; batches in flight finish */
	WORKER_STOPPING, /* drain was sent; waiting for bye and exit */
	WORKER_LOST,	 /* trust has ended, SIGKILL was sent; waiting for exit */
	WORKER_REAPED,	 /* no process; waiting for the restart, or for ever while draining */
};

const char *worker_state_name(enum worker_state s);

enum {
	WORKER_E_BUSY = 1,  /* no free slot, or it does not hold the model (worker_holds()) */
	WORKER_E_LARGE = 2, /* the packed run exceeds WIRE_MESSAGE_MAX */
	WORKER_E_REFS =
		3, /* the kernel takes no more descriptors of the daemon's user: memory cannot be handed over */
};

/* What worker_run() sends. */
struct pool_batch {
	struct pool_model *model;
	const struct wire_item *items;
	size_t n_items;
	uint64_t expect_ns; /* so long it should take */
	uint64_t now_ns;    /* as of which lanes are compared */
	bool alone;	    /* nothing is loaded while it runs */
	const uint32_t *
		lane; /* the model's lane of this number, which there is; NULL: the one that should be done first */
	void *tag; /* borrow: comes back with it */
};

/*
 * Send one batch, with the next pool_flush(), to a lane of the model. On success `tag`
 * comes back exactly once, by on_done or on_lost, never before
 * this returns. items are read during the call only; their input spans must stay valid until then.
 * A send that fails because the process is gone counts as sent: on_lost follows.
 * Memory that items name (inputs or targets) must be known (pool_memory_new(); asserted).
 *
 * WORKER_E_BUSY, WORKER_E_LARGE, WORKER_E_REFS; -ENOMEM (nothing was sent)
 */
_must_use_ int worker_run(struct worker *w, const struct pool_batch *b);

/* Nobody waits for batch `tag` any more, which was sent there: the worker is told with the next pool_flush(), and
 * may give it up. It comes back all the same. Harmless when it is lost. */
void worker_cancel(struct worker *w, const void *tag);

/* It serves and holds the model: READY, or LOADING others. */
bool worker_holds(const struct worker *w, const struct pool_model *m);
/* Slots free now; 0 unless it serves. */
uint32_t worker_free_slots(const struct worker *w);
/* Of one lane: how many batches are in flight there, and when they should be done, from now: by what they should
 * take, or, where they are late, by how long they have kept it already. */
struct lane_backlog {
	uint32_t n;
	uint64_t ns;
};
/* Of the lane that the model's next batch would be sent to. The worker holds the model (asserted). */
struct lane_backlog worker_lane_backlog(
	const struct worker *w, const struct pool_model *m, uint64_t now_ns);
/* The same of one of its lanes. How many it has there: 0, unless the worker holds the model. */
struct lane_backlog worker_backlog_of_lane(
	const struct worker *w, const struct pool_model *m, uint32_t lane, uint64_t now_ns);
uint32_t worker_n_lanes(const struct worker *w, const struct pool_model *m);
/* The same of all that is in flight to a worker, as if it ran one after the other. */
uint64_t worker_backlog_ns(const struct worker *w, uint64_t now_ns);
uint32_t worker_slots(const struct worker *w);
/* A model is being loaded there. */
bool worker_is_loading(const struct worker *w);
uint32_t worker_in_flight(const struct worker *w);

/*
 * Somebody needs this very process again (a lane of it has sequences): it is not replaced (recycle.h), nor given up (move.h), before as many
 * worker_unbind() came, be they late: of a process that has ended by itself since, or of a model that had the place before.
 */
void worker_bind(struct worker *w);
void worker_unbind(struct worker *w);
/* It ends as soon as nobody needs it, or may: nobody new should be bound to it. */
bool worker_is_ending(const struct worker *w);

/* Somebody's: it is shared, or some model's own. */
bool worker_is_used(const struct worker *w);
/* The model whose own it is; NULL: it is shared, or nobody's. */
const struct pool_model_settings *worker_model(const struct worker *w);
const char *worker_name(const struct worker *w);   /* "cpu:0/1"; "cpu:0/own-3" is a model's own */
const char *worker_device(const struct worker *w); /* "cpu:0"; "": it is not used */
enum worker_state worker_get_state(const struct worker *w);
int worker_pid(const struct worker *w); /* 0 when there is no process */
uint64_t worker_generation(const struct worker *w);
uint64_t worker_batches_done(const struct worker *w);
uint64_t worker_restarts(const struct worker *w);
/* Processes of this place that ended so; not those that the daemon's own end has ended. */
uint64_t worker_ends(const struct worker *w, enum worker_verdict verdict);
/* Lanes that have a batch. */
uint32_t worker_lanes_busy(const struct worker *w);
uint32_t worker_output_segments(const struct worker *w); /* of its process, mapped here */
uint64_t worker_output_mapped(const struct worker *w);	 /* their bytes */
/* What models that were unloaded have left in its process, as that says. */
uint64_t worker_stayed_bytes(const struct worker *w);
uint64_t worker_ready_since_ns(const struct worker *w); /* 0 when not ready */
const char *worker_last_exit(const struct worker *w);	/* "" when none */
/*
 * Its name and why its process was lost, as far as that is known by now, for texts: "cpu:0/1 (signal 6 (Aborted))". From
 * pool_events.on_lost; valid until the next call for it.
 */
const char *worker_loss(struct worker *w);
/* What the driver wants done to its GPU before it is started again: "a reset of the GPU (recovery action 1)"; "":
 * nothing. */
const char *worker_quarantine(const struct worker *w);
/* Its process, or the last one, takes memory of its GPU that clients have made. */
bool worker_imports(const struct worker *w);
/* How tensors get to its GPU: "pinned", "staged"; "" where it is on none, or does not say. */
const char *worker_copies(const struct worker *w);
/* What its process may take, and takes with all that it has started: see group.h. 0: no limit, or not known. */
struct worker_limits worker_limits(const struct worker *w);
struct group_use worker_use(const struct worker *w);
/* What holds its process, or held the last one, for people; "" where it does not say. */
const char *worker_sandbox(const struct worker *w);
uint64_t worker_restart_at_ns(const struct worker *w); /* 0 unless waiting for a restart */

/*
 * A hold on what one answer has in a worker's output memory, or its part of one that several of a batch have. The mapping
 * outlives the process for as long as it is held. When the last reference goes, the worker is told by the
 * next worker_run() there, or by a pool_flush() when much is to be released. A lease must not outlive the pool (asserted in pool_free()).
 */
struct output_lease *output_lease_ref(struct output_lease *l);
/* Accepts NULL; returns NULL. */
struct output_lease *output_lease_unref(struct output_lease *l);
/* Neither may take or give back a lease. */
struct output_charge {
	/* Others who had a part of the same hold have let go of so many bytes, which stay there for this one's sake. */
	void (*on_more)(void *data, uint64_t bytes);
	/* The last reference is gone: all bytes, with what was more. */
	void (*on_end)(void *data, uint64_t bytes);
};
/*
 * Charge what it holds to somebody: where there are more references than one (somebody keeps it beside the caller) and
 * nobody is charged yet, `charge` (borrowed) hears of it until its last reference goes. Returns those bytes; 0: it does not.
 */
uint64_t output_lease_charge(
	struct output_lease *l, const struct output_charge *charge, void *data);
DEFINE_CLEANUP(struct output_lease *, output_lease_unref)

#endif
