/* hash.h: hashes of short keys: a quick one for tables whose keys no peer chooses, or whose size a limit bounds, and one
 * that is slower for others. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* All bits are good, so the low ones may be taken. It is another one on another machine: not to be kept. */
uint64_t hash_bytes(const void *data, size_t n);

struct hash_key {
	uint64_t words[2];
};

/* A key that nobody can guess. */
void hash_key_make(struct hash_key *ret_key);
/* SipHash-2-4: who does not know the key cannot find data that have a hash in common. */
uint64_t hash_keyed(const struct hash_key *key, const void *data, size_t n);

#endif
