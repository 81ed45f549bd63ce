/*
 * output_estimate.h: how much output memory an answer of a version should take, before it is there: as much as those of
 * requests of its size took lately (sizes are told apart by powers of two), and never more than the declaration allows.
 */
#ifndef DISPATCH_OUTPUT_ESTIMATE_H
#define DISPATCH_OUTPUT_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is smaller is copied when it comes, and expected to take nothing. */
#define OUTPUT_ESTIMATE_MIN 4096u
/* What is larger is expected to take so much: what all requests should take is added up, whatever models declare. */
#define OUTPUT_ESTIMATE_MAX (UINT64_C(1) << 40)
/* Sizes of a request: 0, 1, 2 to 3, 4 to 7, ... bytes; all of a TiB and more are one. */
#define OUTPUT_ESTIMATE_SIZES 42u

struct wire_loaded;

/* Embedded in the work. Zeroed: nothing is known. */
struct output_estimate {
	bool declared;	  /* row_max was looked up */
	uint64_t row_max; /* bytes that the declaration allows a row; UINT64_MAX: any number */
	uint64_t seen;	  /* a bit a size: requests of it were answered ... */
	uint64_t bytes[OUTPUT_ESTIMATE_SIZES]; /* ... with so many: rises at once, falls slowly */
};

/* The version is declared, and batched or not: harmless where it is known already. */
void output_estimate_declare(
	struct output_estimate *e, const struct wire_loaded *declared, bool batched);
/* Of a request of so many rows with so many bytes of input; as many as those, where nothing is known; OUTPUT_ESTIMATE_MAX at
 * most. */
uint64_t output_estimate_bytes(
	const struct output_estimate *e, uint64_t rows, uint64_t input_bytes);
/* One with so many bytes of input was answered with so many. */
void output_estimate_note(struct output_estimate *e, uint64_t input_bytes, uint64_t output_bytes);

#endif
