/* scheduler_wait.h: requests of a version that no ready worker holds. For src/dispatch alone. */
#ifndef DISPATCH_SCHEDULER_WAIT_H
#define DISPATCH_SCHEDULER_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct scheduler;
struct work;

/* Let them wait for one within limits, which sets scheduler.wait_ns; fail those for whom that is of no use, or
 * has taken too long. Calls on_done. */
void scheduler_wait(struct scheduler *s, struct work *w, uint64_t now_ns);
/* The same for those that run on a certain device alone, of a version that others have ready. Returns whether any has failed. */
bool scheduler_wait_bound(struct scheduler *s, struct work *w, uint64_t now_ns);

#endif
