/* place.h: a worker as the scheduler sees it: what it has, who has it for himself, what it takes. */
#ifndef DISPATCH_PLACE_H
#define DISPATCH_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batch;
struct model;
struct worker;

struct place {
	struct worker *worker;	 /* borrow: the pool's life */
	uint64_t expect_ns;	 /* sum of place_expectation() over the batches in flight there */
	struct batch *exclusive; /* borrow: a suspect runs there: nothing else is sent */
	/* borrow: nothing is sent until it is idle, then this model's suspect */
	struct model *reserved;
};

/* It holds the model, and nobody else has it for himself. */
bool place_takes(const struct place *p, const struct model *m);
/* It takes a batch of the model now. */
bool place_takes_batch(const struct place *p, const struct model *m);
/* It has nothing to do, so it takes a suspect of the model. */
bool place_takes_suspect(const struct place *p, const struct model *m);
/* The least loaded of n places that `fit` accepts; NULL: none. *next: where ties begin, moved on. */
struct place *place_pick(struct place *places, size_t n, size_t *next, const struct model *m,
	bool (*fit)(const struct place *p, const struct model *m));

/* How long a batch of the model should take. More than pipeline_us is all the same, and so is what
 * is not known. */
uint64_t place_expectation(const struct model *m);
/* A batch of the model took so long. */
void place_note_time(struct model *m, uint64_t compute_ns);

#endif
