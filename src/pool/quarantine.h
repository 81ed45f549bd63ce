/*
 * quarantine.h: keeps workers off a GPU that needs more than a new process. When a process on a GPU has ended, the
 * driver is asked what the GPU wants (gpus.h); until that is nothing its worker is not started again. Where the driver
 * does not know, or says nothing for too long, it is. For src/pool alone.
 */
#ifndef POOL_QUARANTINE_H
#define POOL_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* w's process has ended. */
void quarantine_ask(struct worker *w, uint64_t now_ns);
/* Is w, whose restart is due, not to be started yet? Then its restart is due again after the next look at its GPU, or,
 * where there was none for too long, at restart_at_ns. */
bool quarantine_keeps(struct worker *w, uint64_t now_ns);
/* The GPUs were looked at: its restart is due again where it was kept. Returns whether it was. */
bool quarantine_look(struct worker *w, uint64_t now_ns);

#endif
