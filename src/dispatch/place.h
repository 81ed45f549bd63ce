/* place.h: a worker as the scheduler sees it: what it has, who has it for himself, what it takes. */
#ifndef DISPATCH_PLACE_H
#define DISPATCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct work;
struct worker;

struct place {
	struct worker *worker;	 /* borrow: the pool's life */
	uint64_t pipeline_ns;	 /* of work that it may have at hand beyond one batch */
	uint64_t expect_ns;	 /* sum of place_expectation() over the batches in flight there */
	struct batch *exclusive; /* borrow: a suspect runs there: nothing else is sent */
	/* borrow: nothing is sent until it is idle, then a suspect of this work */
	struct work *reserved;
};

/* It holds the version, and nobody else has it for himself. */
bool place_takes(const struct place *p, const struct work *w);
/* It takes a batch of the version now. */
bool place_takes_batch(const struct place *p, const struct work *w);
/* It has nothing to do, so it takes a suspect of the version. */
bool place_takes_suspect(const struct place *p, const struct work *w);
/* The least loaded of n places that `fit` accepts; NULL: none. *next: where ties begin, moved on. */
struct place *place_pick(struct place *places, size_t n, size_t *next, const struct work *w,
	bool (*fit)(const struct place *p, const struct work *w));

/* How long a batch of the work should take there. More than pipeline_ns is all the same, and so is
 * what is not known. */
uint64_t place_expectation(const struct place *p, const struct work *w);

#endif
