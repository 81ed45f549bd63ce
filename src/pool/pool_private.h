/* pool_private.h: struct pool, from which everything in src/pool hangs. */
#ifndef POOL_POOL_PRIVATE_H
#define POOL_POOL_PRIVATE_H

#include "pool/breaker.h"
#include "pool/output.h"
#include "pool/pool.h"
#include "pool/region.h"

#define POOL_TEXT_MAX 1024u

/* A model as the pool sees it. */
struct pool_entry {
	const struct pool_model *model; /* borrow */
	struct wire_loaded *declared;	/* own; NULL while no worker has loaded it */
	uint32_t n_ready;
	uint32_t n_hopeful;
	bool changed;		   /* on_model is due */
	char error[POOL_TEXT_MAX]; /* of the last load that failed; "" after one that did not */
	char detail[POOL_TEXT_MAX];
};

struct pool {
	uv_loop_t *loop;		      /* borrow */
	const struct pool_settings *settings; /* borrow */
	const struct pool_events *events;     /* borrow */
	void *data;			      /* borrow: of events */
	int input_arena_fd;		      /* borrow */
	uint64_t input_arena;
	uint64_t input_arena_size;

	struct worker *workers; /* own */
	size_t n_workers;
	const char **devices; /* own; the names are borrowed */
	size_t n_devices;
	struct pool_entry *entries; /* own: one a model */
	size_t n_entries;
	struct breaker *breakers; /* own: n_entries * n_devices */
	struct output_desk outputs;
	struct region_table regions;

	uv_timer_t timer;     /* the next thing is due; timer.data: the pool */
	uint64_t timer_at_ns; /* what it is set for; CLOCK_NO_DEADLINE: stopped */
	uint64_t next_arena;  /* id of the next output arena */
	uint64_t random;      /* state of pool_random() */
	bool started;	      /* pool_start() was called */
	bool told_started;
	bool draining;
	bool told_drained;
};

/* Make the timer fire at at_ns, if it would not earlier. */
void pool_arm(struct pool *p, uint64_t at_ns);
/* There is something to be called back about: do it in the loop's next turn. */
void pool_soon(struct pool *p);
/* Pseudo-random, for jitter. */
uint64_t pool_random(struct pool *p);

/* --- Models (models.c) ---------------------------------------------------------------------- */

struct breaker *pool_breaker(struct pool *p, uint32_t model, uint32_t device_index);
/* The model is to be on w's device, as far as the configuration is concerned. */
bool pool_wants(const struct pool *p, uint32_t model, const struct worker *w);
/* Something about workers or models has changed: count anew, and call on_model later. */
void pool_recount(struct pool *p);
/* w has loaded the model, or failed to. Returns NULL, or why the load is refused (static). */
const char *pool_loaded(struct pool *p, struct worker *w, const struct wire_loaded *l);
/* The model has taken a process of w's device down. */
void pool_blame(struct pool *p, struct worker *w, uint32_t model);
/* The model does as it should on w's device. */
void pool_praise(struct pool *p, struct worker *w, uint32_t model);
/* Breakers whose cool-down is over. */
void pool_tick_breakers(struct pool *p, uint64_t now_ns);

#endif
