/*
 * closing.h: closing what a stranger may have made so that close() waits: a socket that lingers, a file of a
 * file system that the stranger serves himself, memory of many pages. A detached thread does it, so that
 * nobody waits. The caller bounds how many there are.
 */
#ifndef BASE_CLOSING_H
#define BASE_CLOSING_H

#include <stdbool.h>
#include <stddef.h>

struct closing;

/* Close fds (own; those below 0 are none). NULL: there was no memory for a thread, and it was done here. */
struct closing *closing_start(const int *fds, size_t n);
bool closing_done(const struct closing *c);
/* The caller is not interested any more, done or not. Accepts NULL; returns NULL. */
struct closing *closing_release(struct closing *c);

/* For who has nothing to count: closing_start(), closing_release() of one. */
void close_elsewhere(int fd);

#endif
