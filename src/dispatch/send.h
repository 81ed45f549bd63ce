/* send.h: a batch's way to a place. For src/dispatch alone. */
#ifndef DISPATCH_SEND_H
#define DISPATCH_SEND_H

#include <stdbool.h>
#include <stdint.h>

struct list;
struct place;
struct scheduler;
struct work;

/*
 * Send `taken` (n requests, struct request.node, SENT) of w to p, to the lane of this number (NULL: the one that should
 * be done first). There is a spare batch (asserted). Where it cannot be sent now, it is back in the queue; requests that
 * can never be have failed. Calls on_done. Returns whether something was sent or failed.
 */
bool send_batch(struct scheduler *s, struct work *w, struct place *p, const uint32_t *lane,
	struct list *taken, uint32_t n, uint64_t now_ns);

#endif
