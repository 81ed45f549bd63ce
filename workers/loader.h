/*
 * loader.h: the thread on which models are loaded and unloaded, one after another, while the others
 * serve.
 */
#ifndef WORKERS_LOADER_H
#define WORKERS_LOADER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "workers/lane.h"

struct loader;

/* Starts the thread. handle(data, message) is called there for each job in turn. -ENOMEM, -errno */
_must_use_ int loader_new(struct loader **ret_loader,
	void (*handle)(void *data, const struct wire_message *m), void *data);
/* Waits for what is being handled, and ends the thread: what is pushed later is forgotten. */
void loader_end(struct loader *l);
/* The same, if that has not happened. Accepts NULL; returns NULL. */
struct loader *loader_free(struct loader *l);
DEFINE_CLEANUP(struct loader *, loader_free)

/* Takes over `job`, a message that was unpacked once. */
void loader_push(struct loader *l, struct job *job);
/* Nothing is being handled or waits. */
bool loader_is_idle(struct loader *l);
/* Forget what waits, and wait until nothing is being handled. */
void loader_wait_idle(struct loader *l);

#endif
