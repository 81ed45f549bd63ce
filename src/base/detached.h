/*
 * detached.h: a thread for work that nobody joins: on a small stack, with all signals blocked. What it shares with others is
 * the caller's business. Any thread.
 */
#ifndef BASE_DETACHED_H
#define BASE_DETACHED_H

#include "base/cleanup.h"

/* Have another thread call run(data); its result is ignored. -EAGAIN, -ENOMEM: there is none, and nothing was called */
_must_use_ int detached_start(void *(*run)(void *data), void *data);

#endif
