/*
 * disposer.h: gives memory back that may be large: unmapping or closing what nobody else has frees its pages, a
 * second for each 8 GiB or so. A thread of its own does it, one after the other, so that the loop never waits.
 * What it is given must not block for other reasons: memory, and no client's files.
 */
#ifndef POOL_DISPOSER_H
#define POOL_DISPOSER_H

#include <stdint.h>

#include "base/cleanup.h"

struct disposer;
struct view;

/* Its thread begins with the first thing to do. -ENOMEM */
_must_use_ int disposer_new(struct disposer **ret_disposer);
/* Waits until all is done. Accepts NULL; returns NULL. */
struct disposer *disposer_free(struct disposer *d);
/* Free a view (own; NULL: none) and close a descriptor of the same memory, or one alone (own; -1: none). Never
 * fails: without memory, or a thread, it is done here. Loop thread. */
void disposer_view(struct disposer *d, struct view *v, int fd);
void disposer_fd(struct disposer *d, int fd);
/* What it has done so far on its thread. */
uint64_t disposer_n_done(struct disposer *d);

#endif
