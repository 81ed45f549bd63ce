/*
 * burst.h: when what was gathered for workers goes out. Sending wakes a worker up, which costs more than many a batch:
 * where a turn of the loop has brought several short ones at once, they wait for one more look at the sockets, and what
 * comes then shares their record and their wake-up. Whoever waits for a single one, or for a long one, waits for
 * nothing. Daemon process, loop thread.
 */
#ifndef POOL_BURST_H
#define POOL_BURST_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing was gathered. */
struct burst {
	uint32_t n_items;
	uint32_t n_waits;
	bool urgent; /* something of it must not wait */
};

/* A batch of n items was gathered, which should take so long. */
void burst_add(struct burst *b, uint32_t n, uint64_t expect_ns);
/* So was something else that somebody waits for. */
void burst_hurry(struct burst *b);
/* Is it better to send it later? Asked before and after each poll, it says yes over one poll at most. */
bool burst_waits(struct burst *b);
/* All was sent. */
void burst_end(struct burst *b);

#endif
