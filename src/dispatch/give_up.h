/*
 * give_up.h: work that runs and that nobody waits for: where that is so of all requests of a batch, its worker is told
 * with the next pool_flush(). What becomes of it makes no difference then. For src/dispatch alone.
 */
#ifndef DISPATCH_GIVE_UP_H
#define DISPATCH_GIVE_UP_H

#include <stdint.h>

#include "base/list.h"

struct request;

/* Nobody waits for a request any more that was sent. */
void give_up(struct request *r);
/* The same of those in `sent` (struct batch.node) whose deadline has passed: callers may not watch that themselves. */
void give_up_late(struct list *sent, uint64_t now_ns);

#endif
