/* hash.c: eight bytes at a time. Pure, but for the making of keys. */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

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

/* --- Keyed ------------------------------------------------------------------------------------ */

#define ROUNDS_A_WORD	  2u
#define ROUNDS_AT_THE_END 4u

void hash_key_make(struct hash_key *ret_key)
{
	if (getrandom(ret_key, sizeof(*ret_key), GRND_NONBLOCK) == sizeof(*ret_key))
		return;
	/* The machine has only just begun. */
	ret_key->words[0] = clock_wall_ns();
	ret_key->words[1] = clock_ns() ^ (uintptr_t)ret_key;
}

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32) + v[3];
		v[2] += v[1];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void sip_take(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, ROUNDS_A_WORD);
	v[0] ^= word;
}

uint64_t hash_keyed(const struct hash_key *key, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t last = (uint64_t)n << 56;
	uint64_t v[4] = {
		key->words[0] ^ UINT64_C(0x736f6d6570736575),
		key->words[1] ^ UINT64_C(0x646f72616e646f6d),
		key->words[0] ^ UINT64_C(0x6c7967656e657261),
		key->words[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sip_take(v, word);
	}
	word = 0;
	if (n > 0)
		memcpy(&word, p, n);
	sip_take(v, last | word);
	v[2] ^= 0xff;
	sip_rounds(v, ROUNDS_AT_THE_END);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
