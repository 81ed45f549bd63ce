/*
 * fake_pool.h: stands in for src/pool below dispatch. Nothing happens by itself: the test says when
 * a worker is ready, answers, is lost. The structs are open, so that tests can look and change.
 */
#ifndef TESTS_UNIT_DISPATCH_FAKE_POOL_H
#define TESTS_UNIT_DISPATCH_FAKE_POOL_H

#include <stdbool.h>

#include "pool/pool.h"
#include "pool/worker.h"

#define FAKE_WORKERS_MAX 64
#define FAKE_RUNS_MAX	 256
#define FAKE_MODELS_MAX	 16

/* A batch that was sent and has not come back. */
struct fake_run {
	void *tag;
	struct worker *worker; /* NULL: free */
	struct pool_model *model;
	uint64_t expect_ns;
	const uint32_t *lane_asked; /* set where one was: lane */
	uint32_t lane;
	size_t n_items;
	bool cancelled;		      /* worker_cancel() */
	int64_t rows[WIRE_ITEMS_MAX]; /* first dimension of each item's first input */
};

struct worker {
	struct pool *pool;
	char name[32];
	char device[16];
	bool ready;
	bool holds[FAKE_MODELS_MAX];
	uint32_t slots;
	uint32_t in_flight;
	struct lane_backlog lanes[FAKE_MODELS_MAX]; /* each model has one; never late by itself */
	uint64_t backlog_ns;			    /* of all in flight */
	uint64_t n_runs;
	bool loading; /* a model */
	bool imports;
	uint32_t numa_node;
	uint64_t generation;
	uint32_t n_lanes; /* of each model; 0: 1 */
	uint32_t n_bound; /* worker_bind() */
	bool ending;
	const char *loss; /* why it is lost; NULL: "signal 6 (Aborted)" */
	int run_error;	  /* what worker_run() returns; 0: it sends */
};

struct pool {
	const struct pool_events *events;
	void *data;
	struct pool_model
		*models[FAKE_MODELS_MAX]; /* not freed yet, in the order of ids, with gaps */
	size_t n_models;
	const struct wire_loaded *loaded[FAKE_MODELS_MAX]; /* by id, as what follows */
	bool hopeless[FAKE_MODELS_MAX];
	const char *detail[FAKE_MODELS_MAX];
	uint64_t busy_ns[FAKE_MODELS_MAX]; /* all of its lanes have been */
	struct worker workers[FAKE_WORKERS_MAX];
	size_t n_workers;
	struct fake_run runs[FAKE_RUNS_MAX]; /* in the order in which they were sent, with gaps */
	size_t n_runs;
	uint64_t compute_ns;   /* of each batch that is answered */
	uint64_t output_bytes; /* that each answer holds; 0: 4 */
	int start_error;
	bool started;
	bool draining;
	bool killed;
	unsigned flushes;
	bool waits_for_more;
	unsigned output_leases;		   /* references held */
	struct pool_memory *region;	   /* the last one made that is not gone */
	unsigned regions;		   /* made and not gone */
	unsigned segments;		   /* the same of segments */
	unsigned disposed;		   /* descriptors closed off the loop */
	struct pool_memory *leaving;	   /* segments that are freed and not gone */
	const struct wire_item *last_item; /* of the last run: valid while its request is */
};

struct pool_model {
	struct pool *pool;
	const struct pool_model_settings *settings;
	void *owner;
	uint32_t id;
	bool retired;
};

struct pool_memory {
	struct pool *pool;
	uint64_t id;
	int fd;
	void (*on_gone)(void *data);
	void *data;
	bool freed;
	struct pool_memory *next; /* in pool.leaving */
	const uint64_t *handle;	  /* NULL: it is the host's */
	const char *tried_on;	  /* the device of a try; NULL: it was not tried */
	void (*on_tried)(void *data, int e, const char *why);
};

struct output_lease {
	struct pool *pool;
	unsigned refs;
	uint64_t bytes;
	const struct output_charge *charge;
	void *data;
};

/* What a model declares; every worker holds it from then on. */
void fake_declare(struct pool *p, uint32_t model, const struct wire_loaded *loaded);
/* The model is ready on all workers that are: on_model. */
void fake_load(struct pool *p, uint32_t model, const struct wire_loaded *loaded);
/* It cannot be loaded: on_model. */
void fake_fail(struct pool *p, uint32_t model, const char *detail);
/* No process holds it any more: on_model_gone. It was retired. */
void fake_gone(struct pool *p, uint32_t model);
/* All workers become ready; on_model for every model, on_credit, on_started. */
void fake_start(struct pool *p);
void fake_set_ready(struct worker *w, bool ready);
/* Batches in flight, and the first of them (of `w`, unless NULL). */
size_t fake_n_runs(const struct pool *p, const struct worker *w);
struct fake_run *fake_first(struct pool *p, const struct worker *w);
/* Answer one: every item has this status and one output of 4 bytes. */
void fake_done(struct pool *p, struct fake_run *run, uint32_t code);
/* Answer one of its items in part, with one output of 4 bytes. */
void fake_partial(struct pool *p, struct fake_run *run, size_t item);
/* The last of an item, ahead of the others. */
void fake_early(struct pool *p, struct fake_run *run, size_t item);
/* Others have let go of so many bytes of what l, which somebody is charged for, is a part of. */
void fake_more(struct output_lease *l, uint64_t n);
/* The same as fake_done() with fewer results than items. */
void fake_done_short(struct pool *p, struct fake_run *run, size_t n_results);
/* The worker is gone: its batches come back lost. It stays unready. */
void fake_lose(struct worker *w);
void fake_lose_how(struct worker *w, enum lost how);
/* Nothing of ours can touch the last region any more: on_gone. It was freed. */
void fake_region_gone(struct pool *p);
/* No process maps the segments that were freed: on_gone. */
void fake_segments_gone(struct pool *p);
/* Lose everything that is in flight, then on_drained. */
void fake_drained(struct pool *p);

#endif
