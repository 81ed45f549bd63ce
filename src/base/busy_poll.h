/*
 * busy_poll.h: is it worth while to look for work again at once instead of sleeping until there is
 * some? Spinning saves the wake-up and costs a core. It is given up where work comes too rarely to be
 * met that way, and taken up again when it comes often. No I/O here: the owner of a loop asks.
 */
#ifndef BASE_BUSY_POLL_H
#define BASE_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

struct busy_poll {
	uint64_t limit_ns; /* how long to spin; 0: never */
	uint64_t since_ns; /* of the last work */
	uint32_t credit;   /* 0: it has not paid of late */
	uint32_t
		n_looks; /* since then, up to two: the second says that the first has found nothing */
	uint64_t n_spins; /* times that it looked on where it would have slept */
	uint64_t n_paid;  /* of these: work came meanwhile */
};

void busy_poll_init(struct busy_poll *b, uint32_t limit_us);
/* There was work. */
void busy_poll_work(struct busy_poll *b, uint64_t now_ns);
/* Is the next work to be looked for without sleeping? Asked ahead of each look. */
bool busy_poll_spins(struct busy_poll *b, uint64_t now_ns);

#endif
