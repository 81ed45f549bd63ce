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

/* --- Keyed ------------------------------------------------------------------------------------ */

/* Those of its authors: the key is 0, 1, 2 ..., and so are the data. */
Test(hash_keyed, known_values)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} known[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},
		{1, UINT64_C(0x74f839c593dc67fd)},
		{8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)},
	};
	struct hash_key key;
	uint8_t bytes[16];

	for (uint8_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	memcpy(&key, bytes, sizeof(key));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		cr_assert_eq(hash_keyed(&key, bytes, known[i].n), known[i].hash, "%zu bytes",
			known[i].n);
}

Test(hash_keyed, keys_differ)
{
	struct hash_key a, b;

	hash_key_make(&a);
	hash_key_make(&b);
	cr_assert_neq(hash_keyed(&a, "x", 1), hash_keyed(&b, "x", 1));
}
