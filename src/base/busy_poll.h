/*
 * busy_poll.h: is it worth while to look for work again at once instead of sleeping until there is
 * some? Spinning saves the wake-up and costs a core. It is given up where work comes too rarely to be
 * met that way, and taken up again when it comes often; for a second where others want the processor. No I/O here: the
 * owner of a loop asks.
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
	uint64_t rest_until_ns;
	uint64_t n_spins; /* times that it looked on where it would have slept */
	uint64_t n_paid;  /* of these: work came meanwhile */
	uint64_t n_vain;  /* and: none did. The one that is under way is neither yet */
};

void busy_poll_init(struct busy_poll *b, uint32_t limit_us);
/* There was work. */
void busy_poll_work(struct busy_poll *b, uint64_t now_ns);
/* From now on there is something to look for. Says nothing of whether that pays. */
void busy_poll_begin(struct busy_poll *b, uint64_t now_ns);
/* Is the next work to be looked for without sleeping? Asked ahead of each look. */
bool busy_poll_spins(struct busy_poll *b, uint64_t now_ns);
/*
 * Between two looks: who is waited for may have no other CPU than this one. Returns for how long others had it: ns. Where that
 * is a time slice, whoever spins comes behind all of them, while who sleeps is let in ahead of them.
 */
uint64_t busy_poll_give_way(struct busy_poll *b);
/* What that does about it: others had the CPU from then until now. */
void busy_poll_gave_way(struct busy_poll *b, uint64_t from_ns, uint64_t now_ns);

#endif
