/*
 * alarm.h: one absolute wake-up with microsecond precision: a timerfd watched by uv_poll, because
 * libuv's own timers know only milliseconds.
 */
#ifndef DISPATCH_ALARM_H
#define DISPATCH_ALARM_H

#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"

struct alarm {
	int fd;		/* own; -1: none */
	uv_poll_t poll; /* poll.data: the alarm */
	uint64_t at_ns; /* armed for; CLOCK_NO_DEADLINE: not armed */
	void (*on_alarm)(void *data);
	void *data; /* borrow */
};

/* on_alarm is called from the loop; the alarm is disarmed then. -errno of timerfd_create(), or
 * libuv's. On failure there is nothing to close. */
_must_use_ int alarm_init(
	struct alarm *a, uv_loop_t *loop, void (*on_alarm)(void *data), void *data);
/* CLOCK_MONOTONIC; CLOCK_NO_DEADLINE disarms. Costs nothing where it is armed for that already. */
void alarm_set(struct alarm *a, uint64_t at_ns);
/* Asynchronous, as uv_close(). */
void alarm_close(struct alarm *a, uv_close_cb on_closed);

#endif
