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
	struct worker *worker; /* borrow: the pool's life */
	uint64_t pipeline_ns;  /* of work that it may have at hand beyond one batch */
	uint64_t expect_ns;    /* sum of place_expectation() over the batches in flight there */
	uint64_t
		since_ns; /* when what runs there began: sent to an idle worker, or the last answer */
	struct batch *exclusive; /* borrow: a suspect runs there: nothing else is sent */
	/* borrow: nothing is sent until it is idle, then a suspect of this work */
	struct work *reserved;
};

/* Something is sent there that should take so long; it came back. */
void place_begin(struct place *p, uint64_t expect_ns, uint64_t now_ns);
void place_end(struct place *p, uint64_t expect_ns, uint64_t now_ns);

/* When what is there should be done, from now: by what it should take, or by how long it has kept its worker
 * already, where that is more. 0: it has nothing. */
uint64_t place_load(const struct place *p, uint64_t now_ns);
/* It holds the version, and nobody else has it for himself. */
bool place_takes(const struct place *p, const struct work *w, uint64_t now_ns);
/* It takes a batch of the version now. */
bool place_takes_batch(const struct place *p, const struct work *w, uint64_t now_ns);
/* It has nothing to do, so it takes a suspect of the version. */
bool place_takes_suspect(const struct place *p, const struct work *w, uint64_t now_ns);
/* The best of n places that `fit` accepts; NULL: none. *next: where ties begin, moved on. */
struct place *place_pick(struct place *places, size_t n, size_t *next, const struct work *w,
	bool (*fit)(const struct place *p, const struct work *w, uint64_t now_ns), uint64_t now_ns);

/* How long a batch of the work should take there; more than pipeline_ns where that is not known. */
uint64_t place_expectation(const struct place *p, const struct work *w);

#endif
