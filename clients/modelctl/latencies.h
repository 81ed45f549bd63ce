/* latencies.h: how long each of many requests took. */
#ifndef CLIENTS_MODELCTL_LATENCIES_H
#define CLIENTS_MODELCTL_LATENCIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Zeroed to begin with. */
struct latencies {
	uint64_t *ns; /* own */
	size_t n;
	size_t cap;
};

void latencies_release(struct latencies *l);
/* -ENOMEM */
_must_use_ int latencies_add(struct latencies *l, uint64_t ns);
void latencies_sort(struct latencies *l);
/* The shortest time that `share` of 100 000 of them did not exceed, once they are sorted; 0: there are none. */
uint64_t latencies_at(const struct latencies *l, uint32_t share);

#endif
