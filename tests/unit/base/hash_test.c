/* hash_test.c: every byte counts, and the low bits part keys that look alike. */
#include "base/hash.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Whatever its length and its place; what lies behind does not. */
Test(hash, each_byte_counts)
{
	char buffer[40];
	const size_t last = sizeof(buffer) - 1;

	memset(buffer, 'a', sizeof(buffer));
	for (size_t n = 0; n < last; n++) {
		uint64_t h = hash_bytes(buffer, n);

		cr_assert_eq(hash_bytes(buffer + 1, n), h);
		cr_assert_neq(hash_bytes(buffer, n + 1), h, "length %zu", n);
		buffer[n] = 'x';
		cr_assert_eq(hash_bytes(buffer, n), h);
		buffer[n] = 'a';
		for (size_t i = 0; i < n; i++) {
			buffer[i] = 'b';
			cr_assert_neq(hash_bytes(buffer, n), h, "byte %zu of %zu", i, n);
			buffer[i] = 'a';
		}
	}
}

Test(hash, zeros_count)
{
	const char zeros[24] = {0};

	for (size_t n = 0; n < sizeof(zeros); n++)
		cr_assert_neq(hash_bytes(zeros, n), hash_bytes(zeros, n + 1));
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
