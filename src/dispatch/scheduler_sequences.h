/* scheduler_sequences.h: which step of which sequence goes where. For src/dispatch alone. */
#ifndef DISPATCH_SCHEDULER_SEQUENCES_H
#define DISPATCH_SCHEDULER_SEQUENCES_H

#include <stdbool.h>
#include <stdint.h>

struct scheduler;
struct work;

/* End those that nobody has asked for too long. Of each sequence of w of which a step waits: send that, or fail it where
 * the sequence has ended. Calls on_done.
 * Returns whether anything moved. */
bool sequences_run(struct scheduler *s, struct work *w, uint64_t now_ns);
/* Behind that: sets scheduler.wait_ns for the next one that will have been idle for too long. */
void sequences_rest(struct scheduler *s, struct work *w);
/* A step could be sent now. */
bool sequences_runnable(const struct scheduler *s, struct work *w, uint64_t now_ns);

#endif
