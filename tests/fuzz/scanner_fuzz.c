/*
 * scanner_fuzz.c: the scanner against protobuf-c, for arbitrary bytes cut arbitrarily. The first
 * eight bytes are the seed of the cuts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "scanner_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct scanner_table *table, const ProtobufCMessageDescriptor *type,
	const uint8_t *data, size_t n, uint64_t seed)
{
	const char *wrong = oracle_check(table, type, data, n, seed, seed & 2);

	if (wrong) {
		fprintf(stderr, "scanner: %s\n", wrong);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct scanner_table request = {
		.outer = 3, .tensor = 1, .max_fields = UINT32_MAX};
	static const struct scanner_table tensor = {.tensor = 1, .max_fields = UINT32_MAX};
	uint64_t seed;

	if (n < sizeof(seed))
		return 0;
	memcpy(&seed, data, sizeof(seed));
	data += sizeof(seed);
	n -= sizeof(seed);
	check(&request, &remotemedia__model_registry__v1__infer_request__descriptor, data, n, seed);
	check(&tensor, &remotemedia__model_registry__v1__tensor_data__descriptor, data, n, seed);
	return 0;
}
