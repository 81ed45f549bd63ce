/* hash.h: a hash of short keys for tables whose keys no peer chooses, or whose size a limit bounds. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* All bits are good, so the low ones may be taken. It is another one on another machine: not to be kept. */
uint64_t hash_bytes(const void *data, size_t n);

#endif
