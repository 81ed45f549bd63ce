/*
 * loop.h: the worker's conversation with the daemon. Messages are handled in order, but batches run on
 * the lanes of their models and loads on a thread of their own, while messages go on being answered.
 * docs/protocol.md describes them.
 */
#ifndef WORKERS_LOOP_H
#define WORKERS_LOOP_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "proto/worker_exit.h"

struct loop;

/*
 * channel_fd: the socket, blocking; owned by the loop from now on, also where this fails. on_name(data, name), if not NULL, is called once with the worker's
 * name. -ENOMEM
 */
_must_use_ int loop_new(struct loop **ret_loop, int channel_fd,
	void (*on_name)(void *data, const char *name), void *data);
/* Waits for backends that are at work, unloads models that are loaded and closes everything. Accepts NULL; returns NULL. */
struct loop *loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop *, loop_free)

/* Serve until the daemon says Drain or is gone. Returns an enum worker_exit. */
_must_use_ int loop_run(struct loop *l);
/* Afterwards: no backend is at work any more, so that loop_free() does not have to wait. */
bool loop_is_idle(struct loop *l);

#endif
