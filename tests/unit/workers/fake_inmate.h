/*
 * fake_inmate.h: a process that gives up what a test says and then tries something. What it tried is
 * told by a number: 0, or the errno of what was refused.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_INMATE_H
#define TESTS_UNIT_WORKERS_FAKE_INMATE_H

#include <sys/types.h>

/* Not an errno: the process could not even begin, or was ended by a signal. */
#define INMATE_FAILED 255

/* In a process of its own: enter(arg), which returns 0, then try(arg). Returns what that returned. */
int fake_inmate(int (*enter)(void *arg), int (*attempt)(void *arg), void *arg);

/* Another process of this user, which waits until it is ended. */
pid_t fake_bystander(void);
/* It is still there: end it. */
void fake_bystander_end(pid_t pid);

#endif
