/* scratch.h: private memory for the inputs of one run, 64-byte aligned pieces, reused. */
#ifndef WORKERS_SCRATCH_H
#define WORKERS_SCRATCH_H

#include <stdint.h>

#include "base/bump.h"
#include "base/cleanup.h"

#define SCRATCH_ALIGN 64u

/* All zero but max is an empty one. */
struct scratch {
	void *memory;	    /* own */
	uint64_t size;	    /* that can be cut */
	struct bump pieces; /* of memory */
	uint64_t max;	    /* most bytes that it may ever have */
};

enum {
	SCRATCH_E_LIMIT = 1, /* more than max */
};

void scratch_deinit(struct scratch *s);
/* What a piece of so many bytes takes; saturates. */
uint64_t scratch_bytes(uint64_t length);
/*
 * Forget all pieces and make room for `bytes`: the sum of scratch_bytes() of those to come.
 *
 * SCRATCH_E_LIMIT, -ENOMEM
 */
_must_use_ int scratch_begin(struct scratch *s, uint64_t bytes);
/* The next piece; what scratch_begin() made room for is not exceeded (asserted). */
void *scratch_take(struct scratch *s, uint64_t length);
/* Forget all pieces; memory that is unusually large goes back to the host. */
void scratch_end(struct scratch *s);

#endif
