/*
 * signals.h: signals are for the loop's thread. Whatever starts another one (a thread, work for libuv's pool, a process
 * that shares our memory for a moment) does so between these two, since it inherits what is blocked: a signal that comes
 * when the loop is closed must not find a thread to end the process by. Header only; any thread.
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include <signal.h>

/* Block all of them in this thread. */
static inline void signals_block(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static inline void signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

#endif
