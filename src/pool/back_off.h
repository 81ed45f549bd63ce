/* back_off.h: how long a place waits before it has a process again, or a process before it is sent again what it could not take.
 * Daemon process, any thread. */
#ifndef POOL_BACK_OFF_H
#define POOL_BACK_OFF_H

#include <stdint.h>

/* The n-th wait in a row: 1, 2, 4 ... s, at most max_ns, give or take a fifth so that they do not go in step; 0 of
 * none. *random: of those that share it; never 0. */
uint64_t back_off_ns(uint32_t n, uint64_t max_ns, uint64_t *random);

#endif
