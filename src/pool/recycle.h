/*
 * recycle.h: a shared worker whose models have left much behind when they were unloaded is replaced, for only a process's
 * end gives everything back; and one that may read less than those which start now, since what a process has given up it
 * cannot get again. For src/pool alone.
 *
 * Each device has one shared place more than it has workers, which rests: it has no process. Another worker of the device that is due is
 * replaced there: a new process is started, and loads what the other one has; when it is ready with all of that, the other one
 * gets no more batches, finishes what it has, ends, and its place rests. So of a device one is replaced at a time. Where the new
 * process could not load all, or ends before, the other one goes on, until as much again is left behind, or it may read still less than
 * others. One that has a model with state of its own is not replaced.
 */
#ifndef POOL_RECYCLE_H
#define POOL_RECYCLE_H

#include <stdbool.h>

struct pool;
struct pool_settings;
struct worker;

/* Do devices have a place that rests? */
bool recycle_is_on(const struct pool_settings *s);
/* Begin what is due, and go on with what was begun. Once a turn of the loop. */
void recycle_tick(struct pool *p);
/* What pool_set_sandbox() has left. */
void recycle_deinit(struct pool *p);
/* Its process's models have left more behind: it may be due. */
void recycle_note(struct worker *w);

#endif
