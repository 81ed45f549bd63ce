/*
 * loop.h: the worker's conversation with the daemon. Messages are handled in order, but batches run on
 * the lanes of their models and loads on a thread of their own, while messages go on being answered.
 * docs/protocol.md describes them.
 */
#ifndef WORKERS_LOOP_H
#define WORKERS_LOOP_H

#include <stdbool.h>

#include "base/cleanup.h"

/* Exit statuses of the worker (see worker_verdict in src/pool). */
enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_INTERNAL =
		70, /* the daemon broke the protocol, or the host refused something */
	WORKER_EXIT_DEVICE_LOST =
		76, /* the device or a backend cannot go on here; a new process can */
	WORKER_EXIT_DEVICE_UNUSABLE = 77, /* the device or its driver needs attention */
	WORKER_EXIT_CONFIG = 78,	  /* trying again is of no use */
};

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
