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
};

void busy_poll_init(struct busy_poll *b, uint32_t limit_us);
/* There was work. */
void busy_poll_work(struct busy_poll *b, uint64_t now_ns);
/* Is the next work to be waited for without sleeping? */
bool busy_poll_spins(const struct busy_poll *b, uint64_t now_ns);

#endif
