/* output_estimate.c: how much output memory answers should take. Knows versions and requests by numbers alone. */
#include "dispatch/output_estimate.h"

#include "proto/dtype.h"
#include "proto/wire.h"

/* Down by 1/FALL of the difference. */
#define FALL 16

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Bytes a row; false: any number. */
static bool row_of(const struct wire_declaration *d, bool batched, uint64_t *ret_bytes)
{
	uint32_t first = batched && d->rank > 0 ? 1 : 0;

	return !d->any_shape &&
	       shape_bytes(d->dtype, d->dims + first, d->rank - first, ret_bytes) == 0;
}

void output_estimate_declare(
	struct output_estimate *e, const struct wire_loaded *declared, bool batched)
{
	uint64_t sum = 0;

	if (e->declared || !declared)
		return;
	e->declared = true;
	e->row_max = UINT64_MAX;
	for (size_t i = 0; i < declared->n_outputs; i++) {
		uint64_t n;

		if (!row_of(&declared->outputs[i], batched, &n) ||
			__builtin_add_overflow(sum, n, &sum))
			return;
	}
	e->row_max = sum;
}

/* 0 for none, else one more than the number of its highest bit. */
static unsigned size_of(uint64_t bytes)
{
	unsigned n = bytes > 0 ? 64 - (unsigned)__builtin_clzll(bytes) : 0;

	return n < OUTPUT_ESTIMATE_SIZES ? n : OUTPUT_ESTIMATE_SIZES - 1;
}

static bool is_seen(const struct output_estimate *e, unsigned size)
{
	return (e->seen >> size & 1) != 0;
}

uint64_t output_estimate_bytes(const struct output_estimate *e, uint64_t rows, uint64_t input_bytes)
{
	unsigned size = size_of(input_bytes);
	bool bounded = e->declared && e->row_max < UINT64_MAX;
	uint64_t max = bounded ? times(e->row_max, rows) : UINT64_MAX;
	uint64_t bytes = is_seen(e, size) ? e->bytes[size] : bounded ? max : input_bytes;

	if (bytes > max)
		bytes = max;
	if (bytes > OUTPUT_ESTIMATE_MAX)
		bytes = OUTPUT_ESTIMATE_MAX;
	return bytes >= OUTPUT_ESTIMATE_MIN ? bytes : 0;
}

void output_estimate_note(struct output_estimate *e, uint64_t input_bytes, uint64_t output_bytes)
{
	unsigned size = size_of(input_bytes);
	uint64_t *kept = &e->bytes[size];

	if (!is_seen(e, size) || output_bytes >= *kept)
		*kept = output_bytes;
	else
		*kept -= (*kept - output_bytes + FALL - 1) / FALL;
	e->seen |= UINT64_C(1) << size;
}
