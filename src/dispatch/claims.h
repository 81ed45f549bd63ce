/*
 * claims.h: what a model's configuration says of its tensors. The model itself decides; people are told where the two
 * contradict each other. One block of plain data, so that it is copied and compared whole.
 */
#ifndef DISPATCH_CLAIMS_H
#define DISPATCH_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

#define CLAIMS_TEXT_MAX 512u

struct claim {
	char name[WIRE_NAME_MAX + 1];
	bool output;
	enum dtype dtype; /* DTYPE_INVALID: nothing is said of it */
	uint32_t rank;	  /* 0: nothing is said of its shape */
	int64_t dims
		[TENSOR_RANK_MAX]; /* -1: any size; where the model batches, without the batch's or with it */
};

struct claims {
	uint32_t n;
	struct claim list[];
};

/* n of them, all zeroes: the caller fills them in, and frees the block. NULL: no memory */
struct claims *claims_new(uint32_t n);
/* *to is the caller's to free. NULL stays NULL. -ENOMEM */
_must_use_ int claims_copy(struct claims **to, const struct claims *from);
/* Both may be NULL. */
bool claims_equal(const struct claims *a, const struct claims *b);
/*
 * Does something in it contradict what the model declares? Then text (cap bytes, some CLAIMS_TEXT_MAX) has a name, and both types and
 * shapes, of each such tensor, as far as there is room. c may be NULL: it says nothing.
 */
_must_use_ bool claims_contradict(
	const struct claims *c, const struct wire_loaded *declared, char *text, size_t cap);

#endif
