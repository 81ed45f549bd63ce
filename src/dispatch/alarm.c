/* alarm.c: a timerfd on the loop. Daemon process, loop thread. */
#include "dispatch/alarm.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct alarm *a = poll->data;
	uint64_t count;

	/* Spurious readiness is possible: nothing to read means that it did not go off. */
	if (read(a->fd, &count, sizeof(count)) != sizeof(count))
		return;
	a->at_ns = CLOCK_NO_DEADLINE;
	a->on_alarm(a->data);
}

int alarm_init(struct alarm *a, uv_loop_t *loop, void (*on_alarm)(void *data), void *data)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = uv_poll_init(loop, &a->poll, fd);
	if (r) {
		close(fd);
		return r;
	}
	a->fd = fd;
	a->poll.data = a;
	a->at_ns = CLOCK_NO_DEADLINE;
	a->on_alarm = on_alarm;
	a->data = data;
	/* The only documented failure is a handle that is closing. */
	r = uv_poll_start(&a->poll, UV_READABLE, on_poll);
	assert(r == 0);
	return r;
}

void alarm_set(struct alarm *a, uint64_t at_ns)
{
	struct itimerspec when = {0};
	int r;

	if (at_ns == a->at_ns)
		return;
	a->at_ns = at_ns;
	if (at_ns != CLOCK_NO_DEADLINE) {
		when.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
		when.it_value.tv_nsec = (long)(at_ns % NS_PER_S);
		if (at_ns == 0)
			when.it_value.tv_nsec = 1; /* zero would disarm it */
	}
	r = timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL);
	assert(r == 0);
	(void)r;
}

void alarm_close(struct alarm *a, uv_close_cb on_closed)
{
	uv_close((uv_handle_t *)&a->poll, on_closed);
	close_fd(&a->fd);
}
