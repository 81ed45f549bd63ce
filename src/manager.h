/*
 * manager.h: what the service manager that started us is told (sd_notify(3)): that we are ready, that we need
 * longer, that the loop turns. Without one nothing happens. Daemon process, loop thread.
 */
#ifndef MANAGER_H
#define MANAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/cleanup.h"

#define MANAGER_STATUS_MAX 160u

struct manager {
	uv_timer_t timer; /* for the watchdog, what has to be told again, and more time */
	const char *
		message; /* borrow, static or `status`; not told yet, since nobody reads: again soon */
	char status[MANAGER_STATUS_MAX];
	uint64_t watchdog_ms; /* a third of what it allows; 0: it does not watch us */
	bool waiting;	      /* for us to start or to end: it needs to hear that this goes on */
	bool silent;	      /* somebody else tells */
	int spare_fd; /* own; given up to tell something when descriptors are out; -1: none */
	bool open;
};

/* Begins to tell that starting takes its time, until manager_tell(). */
_must_use_ int manager_init(struct manager *m, uv_loop_t *loop);
/*
 * Something new: static text, "READY=1\nSTATUS=serving". Where the manager's socket is full it is sent later, unless
 * something newer was told. waiting: what was begun (ending) takes its time.
 */
void manager_tell(struct manager *m, const char *message, bool waiting);
/* The same for "STATUS=" and what people who ask the manager read then; cut at MANAGER_STATUS_MAX. Lost where something else waits to
 * be told. */
void manager_tell_status(struct manager *m, const char *format, ...) _printf_(2, 3);
/* Another process is the service from here on: it tells, this one does not any more, but that, as soon as it can be told. */
void manager_hand_over(struct manager *m, pid_t successor);
/* Closes its handle; m must stay until the loop has turned. Accepts one that was zeroed only. */
void manager_close(struct manager *m);

#endif
