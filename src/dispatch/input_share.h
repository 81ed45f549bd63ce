/*
 * input_share.h: how much of the input arena who may have. Nobody gets all of it. An eighth is for small pieces, and the one
 * before for those that are not large, so that ordinary requests find room whatever others have announced and how slowly they
 * send it; a large piece takes at most half of what is left for such, but where nobody else holds any. Nor does anybody who is
 * alone get all of that: large pieces end at half of the arena, those that are not at three quarters, so that who comes next
 * finds room for the like. An arena that is not worth dividing is not divided. Beyond that a client that holds nothing is not
 * refused for its share: what it asks for would otherwise never fit while others are busy. For src/dispatch alone.
 */
#ifndef DISPATCH_INPUT_SHARE_H
#define DISPATCH_INPUT_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/* The arena, as it is now. */
struct input_share {
	uint64_t limit; /* bytes */
	uint64_t used;
	uint64_t n_holders; /* clients that hold some */
};

/* What a piece of that length costs: whole granules, at least one. Saturates. */
uint64_t input_share_charge(uint64_t length);
/* Is it small, in an arena of `limit` bytes? */
bool input_share_is_small(uint64_t limit, uint64_t charge);
/* What one client may have, though nobody else has anything, when it takes a piece of that size. */
uint64_t input_share_max(uint64_t limit, uint64_t charge);
/* May a client that holds so many bytes take a piece of that size now? */
bool input_share_allows(const struct input_share *s, uint64_t bytes, uint64_t charge);

#endif
