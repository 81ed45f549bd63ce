/* fake_bed.h: a pool on a loop with fake workers, and a record of what it calls back. */
#ifndef TESTS_UNIT_POOL_FAKE_BED_H
#define TESTS_UNIT_POOL_FAKE_BED_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "pool/blame.h"
#include "pool/holding.h"
#include "pool/pool.h"
#include "pool/pool_private.h"
#include "pool/worker.h"
#include "pool/worker_private.h"
#include "shm/segment.h"

#define BED_MODELS 8
#define BED_EVENTS 256

struct bed_event {
	char what; /* 'd' done, 'p' answered in part, 'e' answered early, 'l' lost, 'r' lost while running */
	intptr_t tag;
	uint32_t code;
	char message[32]; /* lost: of worker_loss() */
	uint64_t length;
	const uint8_t *data;
	uint64_t compute_ns;
};

struct bed {
	uv_loop_t loop;
	uv_timer_t watchdog;
	struct segment *arena;
	struct pool_memory *memory; /* of the arena */
	struct span input;
	struct pool_settings settings;
	struct pool_place places[3];
	struct pool_model_settings models[BED_MODELS];
	size_t n_models;
	struct pool_model *pm[BED_MODELS]; /* made of models, in their order; NULL: freed */
	struct pool *pool;

	struct bed_event events[BED_EVENTS];
	size_t n_events;
	bool keep_leases;
	struct output_lease *leases[BED_EVENTS];
	size_t n_leases;
	uint32_t n_credit;
	uint32_t n_model;
	uint32_t n_started;
	uint32_t n_drained;
	uint32_t n_gone;
	uint32_t n_models_gone;
	bool inside;   /* a call into the pool is running: nothing may come back */
	int run_again; /* on_done runs so many batches more on the same worker */
};

extern const struct pool_events bed_events;

/* One worker on cpu:0 that runs `script`, a model for each word of `names`; short time limits that
 * no good worker meets. Change what you like, then bed_start(). */
void bed_init(struct bed *b, const char *script, const char *names);
/* pool_new() and all models. 0 or what failed */
int bed_make(struct bed *b);
/* pool_model_new() for models[i]. */
void bed_add(struct bed *b, size_t i);
/* The same for one more, like models[0] but for its name: number n_models - 1. */
void bed_add_named(struct bed *b, const char *name);
/* pool_model_retire() for pm[i]: bed.n_models_gone counts it when it is gone. */
void bed_retire(struct bed *b, size_t i);
/* bed_make(), asserted, and pool_start(). */
void bed_start(struct bed *b);
/* bed_start(), and wait for on_started. */
void bed_up(struct bed *b);
/* Kill, wait for on_drained, free all, and assert that no child and no descriptor is left. */
void bed_end(struct bed *b);
/* bed_end() after an orderly drain. */
void bed_drain_end(struct bed *b);
/* The models that there are, and the pool. */
void bed_free_pool(struct bed *b);
/* Free all; the pool is drained or was never started. */
void bed_free(struct bed *b);

struct worker *bed_worker(struct bed *b, size_t i);
/* A batch of one item with the first n bytes of the input; output 0 wanted. */
int bed_run(struct bed *b, size_t worker, uint32_t model, intptr_t tag, uint64_t n);

/* One turn of the loop, as the server has it: flush, then poll. */
void bed_turn(struct bed *b);
/* Run the loop until the condition holds; a watchdog fails the test. */
#define bed_wait(b, condition)                                                                     \
	while (!(condition))                                                                       \
	bed_turn(b)

#endif
