/* hash.c: eight bytes at a time. Pure. */
#include "base/hash.h"

#include <string.h>

/* 2^64 divided by the golden ratio: odd, its bits as if at random. */
#define FACTOR UINT64_C(0x9E3779B97F4A7C15)

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * FACTOR;
	return h ^ h >> 32;
}

uint64_t hash_bytes(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = n;
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (n > 0)
		memcpy(&word, p, n);
	return mix(h, word);
}
