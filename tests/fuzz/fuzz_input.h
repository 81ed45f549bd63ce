/* fuzz_input.h: the bytes that a fuzzer has to make messages of, field by field. */
#ifndef TESTS_FUZZ_FUZZ_INPUT_H
#define TESTS_FUZZ_FUZZ_INPUT_H

#include <stdint.h>

struct fuzz_input {
	const uint8_t *at, *end;
};

/* 0 at the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* What it should be where the next byte is below `good_below`, a small number where it is below `small_below`, else anything. */
static inline uint64_t fuzz_field(
	struct fuzz_input *in, uint64_t good, uint8_t good_below, uint8_t small_below)
{
	uint8_t b = fuzz_byte(in);
	uint64_t v = 0;

	if (b < good_below)
		return good;
	if (b < small_below)
		return (uint64_t)(int64_t)(int8_t)fuzz_byte(in);
	for (int i = 0; i < 8; i++)
		v = v << 8 | fuzz_byte(in);
	return v;
}

#endif
