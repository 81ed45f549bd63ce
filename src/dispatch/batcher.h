/* batcher.h: which queued requests of a model make the next batch, and when it is time to send it. */
#ifndef DISPATCH_BATCHER_H
#define DISPATCH_BATCHER_H

#include <stdint.h>

#include "base/list.h"

struct output_share;
struct place;
struct work;

/*
 * When the batch that is forming for `w` (which has requests in lines that have turns) should be sent: 0
 * for now, else CLOCK_MONOTONIC ns. It is held until it is full or its oldest request has waited
 * max_queue_delay_us, or half of what a deadline leaves, or there are as many rows as the model prefers.
 */
uint64_t batcher_due(struct work *w, uint64_t now_ns);

/* Take the next batch for place p off the queue into `taken`, state SENT. Suspects are not touched; clients that keep more output
 * memory than their share are set aside. Returns the number taken: 0 only where nobody else has any. */
uint32_t batcher_take(struct work *w, const struct place *p, struct list *taken, uint64_t now_ns);
/* Clients that were set aside and are not over their share any more have turns again. */
void batcher_bring_back(struct output_share *s);

#endif
