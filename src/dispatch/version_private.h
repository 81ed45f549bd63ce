/* version_private.h: struct version, for src/dispatch alone. */
#ifndef DISPATCH_VERSION_PRIVATE_H
#define DISPATCH_VERSION_PRIVATE_H

#include "base/list.h"
#include "dispatch/spare.h"
#include "dispatch/version.h"
#include "pool/pool.h"

struct pool;
struct work;

struct version {
	uint32_t refs;
	struct version_settings settings; /* own */
	uint32_t max_batch_size;	  /* what settings and the default allow */
	struct pool_model_settings load;  /* of settings: what workers are told */
	struct pool_model *pool_model;	  /* own */
	struct work *work;		  /* own; NULL: nothing can run any more */
	uint32_t n_requests;		  /* made, and not DONE */
	bool retired;			  /* out of the catalogue: what was begun is finished */
	struct version *replaces;	  /* ref: it is to take that one's place when it is ready */
	char *passed_over; /* own; why what was to take its own place could not; NULL: nothing was */
	char *contradiction;	 /* own; of its configuration to itself, for people; NULL: none */
	bool proven;		 /* a worker has had it ready once ... */
	uint64_t proven_ns;	 /* ... since then */
	struct list node;	 /* in dispatch.retired */
	struct list family_node; /* in its family of the catalogue */
	struct version_counters counters;
	struct version_figures figures;
	struct spare spare_requests; /* blocks that fit its declaration */

	bool announced_ready; /* what on_version last said */
	const char *announced_state;
};

/*
 * With one reference, for the caller. Settings are copied; default_max_batch_size holds where they say
 * nothing. With its last reference nothing of it may be left in a worker.
 * -EINVAL settings out of range; -ENOMEM
 */
_must_use_ int version_new(struct version **ret_version, const struct version_settings *settings,
	uint32_t default_max_batch_size, struct pool *pool);
/* A request was refused. */
void version_note_refusal(struct version *v);
/* One was given up: it counts as failed where its deadline has passed. */
void version_note_cancel(struct version *v, uint64_t deadline_ns);
/* Log what is new of its state. Returns whether readiness has changed since it was announced last. */
bool version_announce(struct version *v);
/* It is ready for the first time: have the log, and who asks, told where its configuration contradicts it. */
void version_compare(struct version *v);
/* What was to take its place has failed, and it goes on: keep in mind why, as far as memory allows. */
void version_pass_over(struct version *v, const struct version *failed);
/* May requests wait a little for company? */
bool version_delays(const struct version *v);

/* "has failed", "is not available", "is not loaded yet": why nothing can run it now. */
const char *version_unavailable_text(const struct version *v);

#endif
