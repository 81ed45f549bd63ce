/* scheduler_wait.h: requests of a version that no ready worker holds. For src/dispatch alone. */
#ifndef DISPATCH_SCHEDULER_WAIT_H
#define DISPATCH_SCHEDULER_WAIT_H

#include <stdint.h>

struct scheduler;
struct work;

/* Let them wait for one within limits, which sets scheduler.wait_ns; fail those for whom that is of no use, or
 * has taken too long. Calls on_done. */
void scheduler_wait(struct scheduler *s, struct work *w, uint64_t now_ns);

#endif
