/* hash.h: a hash of short keys for tables whose keys no peer chooses, or whose size a limit bounds. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, folded so that the low bits are good. */
uint64_t hash_bytes(const void *data, size_t n);

#endif
