/* hash_test.c: FNV-1a, and that its low bits part keys that look alike. */
#include "base/hash.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(hash, is_fnv_1a_folded)
{
	/* The published values of "" and "foobar". */
	const uint64_t empty = UINT64_C(0xcbf29ce484222325);
	const uint64_t foobar = UINT64_C(0x85944171f73967e8);

	cr_assert_eq(hash_bytes("", 0), empty ^ empty >> 32);
	cr_assert_eq(hash_bytes("foobar", 6), foobar ^ foobar >> 32);
}

Test(hash, low_bits_spread)
{
	unsigned buckets[256] = {0};
	unsigned most = 0;

	for (unsigned i = 0; i < 2560; i++) {
		char key[16];
		int n = snprintf(key, sizeof(key), "model-%u", i);
		unsigned *b = &buckets[hash_bytes(key, (size_t)n) & 255];

		most = ++*b > most ? *b : most;
	}
	cr_assert_lt(most, 40, "10 would be even");
}
