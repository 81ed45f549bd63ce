/* pool_private.h: struct pool, from which everything in src/pool hangs, and its models. For src/pool alone. */
#ifndef POOL_POOL_PRIVATE_H
#define POOL_POOL_PRIVATE_H

#include "base/list.h"
#include "pool/breaker.h"
#include "pool/burst.h"
#include "pool/gpus.h"
#include "pool/lane.h"
#include "pool/lazy_timer.h"
#include "pool/memory.h"
#include "pool/oom.h"
#include "pool/output_memory.h"
#include "pool/pool.h"

#define POOL_TEXT_MAX 1024u
/* Some 31 years: far from any overflow. */
#define POOL_MS_MAX UINT64_C(1000000000000)

#define POOL_MODEL_BUCKETS 256u
/* Why a process ends. */
#define POOL_ENDS "the daemon is shutting down"

/* What a worker's process has of a model. */
enum holding_state {
	HOLDING_NONE,
	HOLDING_LOADING, /* Load was sent */
	HOLDING_LOADED,
	HOLDING_LEAVING,   /* Unload is due when no batch of it is in flight there */
	HOLDING_UNLOADING, /* Unload was sent */
};

/* A model and a worker. */
struct holding {
	struct pool_model *model; /* borrow */
	struct list load_node;	  /* in worker.to_load */
	enum holding_state state;
	struct pool_lane *lanes; /* own, while the process holds the model */
	uint32_t n_lanes;
	uint64_t memory_bytes; /* as the process said when it had loaded it */
	bool wanted;	       /* the model is meant for the worker's device */
	bool failed;	       /* the last load failed: tried again by the next process only */
	bool ready;	       /* as it is counted in n_ready */
	bool hopeful;	       /* likewise */
};

struct pool_model {
	struct pool *pool;			    /* borrow */
	const struct pool_model_settings *settings; /* borrow */
	void *owner;				    /* borrow: of events */
	uint32_t id;
	struct list node;	  /* in pool.models: by id, which is the order of loading */
	struct list bucket_node;  /* in pool.buckets */
	struct list changed_node; /* in pool.changed */
	bool retired;
	bool told_gone;
	const struct pool_program *program; /* borrow; NULL: the pool's */
	bool isolated;	    /* it has workers of its own, or waits for them, and uses no others */
	uint64_t blamed_ns; /* when it ended a worker last */
	bool waits;	    /* for workers to become free */
	bool fallen;	    /* it is wanted where its fallback says, too */
	uint32_t n_own;	    /* workers */
	struct wire_loaded *declared; /* own; NULL while no worker has loaded it */
	uint32_t n_ready;
	uint32_t n_hopeful;
	uint32_t n_held;	   /* processes that have, or may have, something of it */
	uint32_t n_flights;	   /* batches in flight */
	uint64_t uses;		   /* batches that were sent, older ones counting less */
	char error[POOL_TEXT_MAX]; /* of the last load that failed; "" after one that did not */
	char detail[POOL_TEXT_MAX];
	struct breaker *breakers; /* own: by device */
	struct holding
		holdings[]; /* by worker.column: those that are shared, and those of trials */
};

struct pool {
	uv_loop_t *loop;			   /* borrow */
	const struct pool_settings *settings;	   /* borrow */
	const struct pool_events *events;	   /* borrow */
	void *data;				   /* borrow: of events */
	const struct worker_events *worker_events; /* borrow */
	int (*invite)(void *data, int *ret_fd);	   /* NULL: nobody is invited */
	void *invite_data;			   /* borrow */

	/* own: those that are shared, those for models alone (own.c), then one a device for trials (trial.c) */
	struct worker *workers;
	size_t n_shared;
	size_t n_workers; /* that serve: up to the last of models' own that is used */
	size_t max_workers;
	size_t n_all;
	const char **devices; /* own; the names are borrowed */
	size_t n_devices;
	struct gpus *gpus;  /* own; NULL: no worker is on one, or it has not started */
	uv_async_t looked;  /* they were looked at; looked.data: the pool */
	unsigned n_handles; /* that are not closed */
	struct list models; /* struct pool_model.node */
	struct list
		changed; /* struct pool_model.changed_node: on_model, or on_model_gone, is due */
	struct list buckets[POOL_MODEL_BUCKETS]; /* struct pool_model.bucket_node, by id */
	uint32_t n_models;
	uint32_t n_own;	    /* workers of models' own (own.c) ... */
	uint32_t n_leaving; /* ... that will be free ... */
	uint32_t n_waiting; /* ... and models that wait for some */
	uint64_t next_model;
	uint32_t n_open;    /* breakers that are open */
	uint64_t n_counted; /* holdings that recounting has looked at */
	struct burst burst; /* what worker_run() left for pool_flush() */
	struct output_desk outputs;
	struct memory_table memories;
	struct oom oom;
	struct groups groups;
	char **sandbox;		/* own: what new workers are told; NULL: settings.sandbox */
	uint64_t sandbox_width; /* how often it has become wider */

	struct lazy_timer timer; /* the next thing is due */
	uint64_t n_processes;	 /* started so far */
	uint64_t spawn_ms;	 /* the loop's time when the last one was: one a turn */
	bool kept_back;		 /* a worker waits until another one has loaded */
	bool numa;		 /* some worker's device is near a NUMA node, of several */
	bool sandbox_lacks;	 /* it was said that workers are held by less than was asked for */
	uint64_t random;	 /* of back-offs; never 0 */
	bool started;		 /* pool_start() was called */
	bool told_started;
	bool draining;
	uint64_t draining_ns; /* since then */
	bool told_drained;
};

/* Make the timer go off at at_ns, if it would not earlier. */
static inline void pool_arm(struct pool *p, uint64_t at_ns)
{
	lazy_timer_arm(&p->timer, at_ns);
}
/* There is something to be called back about: do it in the loop's next turn. */
static inline void pool_soon(struct pool *p)
{
	lazy_timer_arm(&p->timer, 0);
}

/* What workers that start now are told of their sandbox. */
static inline const char *const *pool_sandbox(const struct pool *p)
{
	return p->sandbox ? (const char *const *)p->sandbox : p->settings->sandbox;
}

/* Of models.c: some worker has loaded m, or failed to. Where none of its devices could, it is to be loaded where its fallback
 * says, until one of them has it. */
void pool_model_review(struct pool_model *m);

#endif
