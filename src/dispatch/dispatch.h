/*
 * dispatch.h: the door of src/dispatch: calls <-> work. Daemon process, loop thread.
 *
 * dispatch_submit() checks a request against its model's declaration and queues it; nothing is
 * sent then. dispatch_schedule(), called once a loop iteration after input was read, joins what is
 * queued into batches and sends them to workers with free slots, so that requests which arrived
 * together run together without any waiting.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "dispatch/request.h"
#include "dispatch/version.h"
#include "pool/pool.h"
#include "shm/arena.h"

struct demand;
struct demand_wish;
struct dispatch;
struct tally;

struct dispatch_settings {
	struct arena_options arena;	  /* the input arena */
	uint32_t max_requests_per_client; /* queued or in flight */
	uint64_t max_state_bytes; /* of a sequence, all its states: they are copied on the loop */
	uint64_t pipeline_us;	  /* of work that a worker may have at hand beyond one batch */
	uint64_t retry_wait_ms; /* how long a request waits for a worker that is being respawned */
	const char *default_model;	 /* NULL or "": none */
	uint32_t default_max_batch_size; /* where the model does not say and its backend can */
};

/* `data` is dispatch_new()'s. */
struct dispatch_events {
	/* A version's readiness changed, or it came, or went. Not before dispatch_start(). From the loop, and
	 * from inside dispatch_add_version() and dispatch_remove_version(); versions must not be added or
	 * removed in it. */
	void (*on_version)(void *data, struct version *v);
	/* Anything about a version has changed: its state, the workers that have it. May be NULL. From the loop. */
	void (*on_version_note)(void *data, struct version *v);
	/* No worker holds a removed version any more. May be NULL. From the loop. */
	void (*on_version_gone)(void *data, struct version *v);
	/* A request names a model that is not served: "model", or "model:version". True: it is being loaded, and
	 * dispatch_supply() follows. Not before dispatch_start(); from inside dispatch_demand(). May be NULL. */
	bool (*on_demand)(void *data, const char *name);
	/* Start-up is over: every worker is ready or has failed once. */
	void (*on_started)(void *data);
	/* dispatch_drain() is complete. */
	void (*on_drained)(void *data);
};

/*
 * Create the input arena, the versions and the pool. The versions' settings are copied, all others are
 * borrowed for dispatch's life.
 *
 * -EINVAL, -ENOMEM, -errno of the arena
 */
_must_use_ int dispatch_new(struct dispatch **ret_dispatch, uv_loop_t *loop,
	const struct dispatch_settings *settings, const struct version_settings *versions,
	size_t n_versions, const struct pool_settings *pool_settings,
	const struct dispatch_events *events, void *data);
/* Spawn the workers and start populating the arena ahead of need. */
_must_use_ int dispatch_start(struct dispatch *d);
/* Stop taking requests (they are refused with UNAVAILABLE), finish queued and running ones, stop the
 * workers; then on_drained. Requests still waiting for a lost worker are failed. */
void dispatch_drain(struct dispatch *d);
/* End at once: queued and running requests are failed UNAVAILABLE (on_done is called from inside),
 * workers killed; on_drained follows. Harmless when it was called before, or all is drained. */
void dispatch_kill(struct dispatch *d);
/* After on_drained, or before dispatch_start(). Asserts that all charges are back and all regions gone. Run the loop
 * until its handles are closed before closing the loop. Accepts NULL; returns NULL. */
struct dispatch *dispatch_free(struct dispatch *d);

/* --- Versions --------------------------------------------------------------------------------- */

/* By the model's name, or "name:number"; an empty name is the default model. Of several versions the highest that was ever
 * ready. NULL when unknown. The name is n bytes, no NUL. Borrowed: a request made for it holds a reference. */
struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n);
/* Where inputs of the model of that name are best put: pool_model_numa_node(); 0 where it is unknown. */
uint32_t dispatch_numa_node(struct dispatch *d, const char *name, size_t n);
/*
 * Have a model loaded that is not found, and wait for that: retry_wait_ms at most, charged as one more request. An empty
 * name is the default model. ret_demand: borrowed until it ends (demand.h), or demand_free().
 *
 * DEMAND_E_NOBODY: it is not to be had; DEMAND_E_FULL; -ENOMEM
 */
_must_use_ int dispatch_demand(
	struct dispatch *d, const struct demand_wish *wish, struct demand **ret_demand);
/* What has become of what on_demand was told of, by the same name; GRPC_OK: it is found now. Whoever waits is told from
 * inside. */
void dispatch_supply(
	struct dispatch *d, const char *name, enum grpc_status status, const char *text);
/* Does anybody wait for that? model: without a version. */
bool dispatch_is_demanded(const struct dispatch *d, const char *model);
/* Another default model (copied; NULL or "": none). -ENOMEM: it stays as it is */
_must_use_ int dispatch_set_default(struct dispatch *d, const char *name);
/* A version by its number, in digits. */
struct version *dispatch_find_number(
	struct dispatch *d, const char *name, size_t n, const char *number, size_t n_number);
/*
 * A version more, which workers load while all else is served; settings are copied. replaces: NULL, or a
 * version of the same model, whose place it takes when it is ready on as many workers; when it fails, the
 * other goes on and this one is removed.
 *
 * ret_version: borrowed; may be NULL.
 *
 * -EEXIST: there is this version already; -EINVAL, -ENOMEM
 */
_must_use_ int dispatch_add_version(struct dispatch *d, const struct version_settings *settings,
	struct version *replaces, struct version **ret_version);
/* It is found no more. Requests that were made for it before are finished, then workers unload it. */
void dispatch_remove_version(struct dispatch *d, struct version *v);
/* Those of one model, the highest first: the first `cap` of them into list. Returns how many there are. */
size_t dispatch_model_versions(
	const struct dispatch *d, const char *name, struct version **list, size_t cap);
/* Models that have any. */
size_t dispatch_n_models(const struct dispatch *d);
/* All that are found, and those that are to replace one of them (version_replaces()). */
size_t dispatch_n_versions(const struct dispatch *d);
struct version *dispatch_version(const struct dispatch *d, size_t i);
/* What leases, regions and clients are made of. */
struct lease_desk *dispatch_desk(struct dispatch *d);
struct region_desk *dispatch_regions(struct dispatch *d);
struct tally *dispatch_tally(struct dispatch *d);
struct pool *dispatch_pool(const struct dispatch *d);
const struct arena *dispatch_arena(const struct dispatch *d);
/* Grows with each request that is submitted and each batch that is answered. */
uint64_t dispatch_activity(const struct dispatch *d);
/* How long the only request that workers have should take: ns. 0: they have none; UINT64_MAX: several, or nobody knows. */
uint64_t dispatch_lone_ns(const struct dispatch *d);
/* How often a request was found waiting although a worker was free: never, unless there is a mistake here. */
uint64_t dispatch_stalls(const struct dispatch *d);
/* Requests queued or in flight. */
uint32_t dispatch_load(const struct dispatch *d);
/* Of all versions there ever were: sums. */
struct version_counters dispatch_counters(const struct dispatch *d);

enum {
	DISPATCH_E_REFUSED = 1,	 /* request_status() and request_message() say why */
	DISPATCH_E_NOT_HELD = 2, /* there is nothing to wait for */
};

/*
 * A request for a version that no worker has loaded yet, so that nobody knows what belongs into it: where one may still
 * load it, the request waits, retry_wait_ms at most, and counts as one that is queued. On 0, on_end(data) follows,
 * with the data of request_new(), from the loop, unless the request is cancelled. It is of no use then: its status says
 * why it was refused, or is OK, and it is to be made anew, now that there is more to say.
 *
 * DISPATCH_E_NOT_HELD  submit it
 * DISPATCH_E_REFUSED   RESOURCE_EXHAUSTED, as below
 */
_must_use_ int dispatch_hold(struct dispatch *d, struct request *r, void (*on_end)(void *data));

/*
 * Check and queue. On 0, on_done follows (the caller keeps its own reference to the request and may
 * drop it at any time: dispatch holds one). Refusals, with texts that name the thing, the value and
 * the limit:
 *   UNAVAILABLE         draining; the model is not loaded yet, failed, or its breaker is open
 *   INVALID_ARGUMENT    dtype, rank, shape or size against the declaration; rows above
 *                       max_batch_size; an input missing
 *   RESOURCE_EXHAUSTED  max_queue_size of the model; max_requests_per_client
 *   UNAVAILABLE         the bound of the request's level of the queue
 *   DEADLINE_EXCEEDED   already passed
 */
_must_use_ int dispatch_submit(struct dispatch *d, struct request *r);
/* For streaming calls: should one more request of c for v (NULL: for any) wait? Three quarters of max_queue_size or
 * max_requests_per_client are taken; the rest is for unary calls, which are refused. */
bool dispatch_full(const struct dispatch *d, const struct client *c, const struct version *v);
/* The caller is no longer interested: on_done will not be called. A queued request is dropped, a
 * running one finishes into the void; its worker is told when all of a batch is. Harmless when done. */
void request_cancel(struct request *r);
/*
 * The same for who must know when nothing can touch the request's memory any more. True: that is
 * so now, and on_done will not be called. False: a worker has it, and on_done follows when it has
 * not any more; it is not sent again.
 */
_must_use_ bool request_withdraw(struct request *r);
/* Form batches and send them, fail what has waited too long; then pool_flush(), unless that waits for more. Once a loop iteration
 * (prepare and check). May call on_done. */
void dispatch_schedule(struct dispatch *d);

#endif
