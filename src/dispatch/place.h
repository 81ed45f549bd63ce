/*
 * place.h: where batches run, as the scheduler sees it: a worker with the lanes of each model that it holds
 * under it, which the pool finds through the model. What a place has at hand is a lane's; who has a place for
 * himself has the process.
 */
#ifndef DISPATCH_PLACE_H
#define DISPATCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct batch;
struct pool;
struct request;
struct work;
struct worker;

struct place {
	struct worker *worker;	 /* borrow: the pool's life */
	struct batch *exclusive; /* borrow: a suspect runs there: nothing else is sent */
	/* borrow: nothing is sent until it is idle, then a suspect of this work */
	struct work *reserved;
};

struct places {
	const struct pool *pool; /* borrow */
	struct place *list;	 /* own: of all workers that there may be */
	size_t next;		 /* ties are broken in turn: who comes first */
	uint64_t pipeline_ns;	 /* of work that a lane may have at hand beyond one batch */
	uint64_t n_visits;	 /* places looked at so far */
};

/* One for each worker that the pool may have. -ENOMEM */
_must_use_ int places_init(struct places *p, const struct pool *pool, uint64_t pipeline_ns);
/* Of workers that there are. */
size_t places_n(const struct places *p);
/* Accepts zeroed places. */
void places_deinit(struct places *p);

/* Whether a place takes something of the version now. */
typedef bool place_fit(
	const struct places *all, const struct place *p, const struct work *w, uint64_t now_ns);
/* It holds the version, and nobody else has it for himself. */
place_fit place_takes;
/* And suits the suspect that is to go next. */
place_fit place_takes_later;
struct lane_backlog;
/* A lane with so much to do has time for a batch more. */
bool place_takes_more(const struct places *all, struct lane_backlog lane);
/* And has a slot, and the lane that would run a batch has time for it, and something that waits may run there. */
place_fit place_takes_batch;
/* And has nothing to do, nor to load where that matters: so it takes a suspect. */
place_fit place_takes_suspect;

/* May r run there, of all that take its version? */
bool place_suits(const struct place *p, const struct request *r);
/* The best of those that `fit` accepts; NULL: none. */
struct place *place_pick(struct places *p, const struct work *w, place_fit *fit, uint64_t now_ns);
/* place_pick() would find one. */
bool place_is_there(const struct places *p, const struct work *w, place_fit *fit, uint64_t now_ns);

/* How long a batch of the work should take; what is not known is more than anything waits behind. */
uint64_t place_expectation(const struct places *p, const struct work *w);

#endif
