/*
 * acceptor.c: accept4() on a uv_poll. uv_listen() is not used because it must be given a handle for
 * each connection before it can refuse one.
 *
 * Out of descriptors: the spare one is closed, the connection accepted and closed, the spare
 * reopened, so that clients see an end instead of a hang. Any other failure, and where there is no spare one: no accepting
 * for PAUSE_MS. Daemon process, loop thread.
 */
#include "event/acceptor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/closing.h"
#include "base/err.h"
#include "base/log.h"

#define ACCEPT_BATCH 64u /* in one go; other handles get their turn then */
#define PAUSE_MS     100u
#define COMPLAINT_NS NS_PER_S

/* A flood of refusals must not become a flood of log lines. */
static void complain(struct acceptor *a, const char *reason, const char *detail)
{
	uint64_t now_ns = clock_ns();

	a->n_refused++;
	if (a->complained_ns && now_ns - a->complained_ns < COMPLAINT_NS)
		return;
	log_warning("connections refused", "address=%s reason=\"%s%s\" refused=%llu", a->name,
		reason, detail, (unsigned long long)a->n_refused);
	a->complained_ns = now_ns;
	a->n_refused = 0;
}

void acceptor_discard(struct acceptor *a, int fd)
{
	struct closing *c;

	assert(a->n_closings < ACCEPTOR_CLOSINGS_MAX);
	if (!a->events->end || a->events->end(fd)) {
		close_fd(&fd);
		return;
	}
	c = closing_start(&fd, 1);
	if (c)
		a->closings[a->n_closings++] = c;
}

static void open_spare(struct acceptor *a)
{
	a->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void refuse_with_spare(struct acceptor *a)
{
	int fd;

	close_fd(&a->spare_fd);
	fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		acceptor_discard(a, fd);
	open_spare(a);
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* How many are still being closed. */
static unsigned sweep_closings(struct acceptor *a)
{
	unsigned n = 0;

	for (unsigned i = 0; i < a->n_closings; i++) {
		if (closing_done(a->closings[i]))
			closing_release(a->closings[i]);
		else
			a->closings[n++] = a->closings[i];
	}
	a->n_closings = n;
	return n;
}

static void on_pause_over(uv_timer_t *timer)
{
	struct acceptor *a = timer->data;

	if (a->spare_fd < 0)
		open_spare(a);
	if (sweep_closings(a) == ACCEPTOR_CLOSINGS_MAX)
		uv_timer_start(&a->pause, on_pause_over, PAUSE_MS, 0);
	else
		uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

static void pause_accepting(struct acceptor *a)
{
	uv_poll_stop(&a->poll);
	uv_timer_start(&a->pause, on_pause_over, PAUSE_MS, 0);
}

/* Returns whether to go on at once. */
static bool accept_failed(struct acceptor *a, int error)
{
	if (error == EAGAIN)
		return false;
	if (error == EINTR || error == ECONNABORTED)
		return true;
	complain(a, err_str(-error), "");
	if ((error == EMFILE || error == ENFILE) && a->spare_fd >= 0) {
		refuse_with_spare(a);
		return true;
	}
	pause_accepting(a);
	return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct acceptor *a = poll->data;

	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int fd;

		if (a->n_closings == ACCEPTOR_CLOSINGS_MAX &&
			sweep_closings(a) == ACCEPTOR_CLOSINGS_MAX) {
			complain(a, "too many are being closed", "");
			pause_accepting(a);
			return;
		}
		fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (!accept_failed(a, errno))
				return;
			continue;
		}
		if (!a->events->on_accept(a, fd))
			complain(a, "no room: see ", a->events->limit);
		if (a->fd < 0) /* closed from inside */
			return;
	}
}

int acceptor_open(struct acceptor *a, uv_loop_t *loop, int fd, const char *name,
	const struct acceptor_events *events)
{
	int r;

	*a = (struct acceptor){.events = events, .name = name, .fd = fd, .spare_fd = -1};
	r = uv_poll_init(loop, &a->poll, fd);
	if (r) {
		close_fd(&a->fd);
		return r;
	}
	r = uv_timer_init(loop, &a->pause);
	assert(r == 0); /* it cannot fail */
	a->poll.data = a->pause.data = a;
	a->n_handles = 2;
	open_spare(a);
	r = uv_poll_start(&a->poll, UV_READABLE, on_readable);
	assert(r == 0); /* the descriptor is new: nobody else polls it */
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	struct acceptor *a = handle->data;

	if (--a->n_handles == 0)
		a->events->on_closed(a);
}

/* Nobody can connect any more. -1: nobody waits, or there is no room to close one. */
static int next_waiting(struct acceptor *a)
{
	shutdown(a->fd, SHUT_RDWR);
	if (sweep_closings(a) == ACCEPTOR_CLOSINGS_MAX)
		return -1;
	return accept4(a->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void acceptor_take_waiting(struct acceptor *a)
{
	int fd;

	while (!a->shared && (fd = next_waiting(a)) >= 0) {
		if (!a->events->on_accept(a, fd))
			complain(a, "no room: see ", a->events->limit);
	}
}

/* They are not closed with the listening socket. */
static void discard_waiting(struct acceptor *a)
{
	int fd;

	while ((fd = next_waiting(a)) >= 0)
		acceptor_discard(a, fd);
	if (a->n_closings == ACCEPTOR_CLOSINGS_MAX)
		close_elsewhere(steal_fd(&a->fd));
}

void acceptor_close(struct acceptor *a)
{
	uv_close((uv_handle_t *)&a->poll, on_closed);
	uv_close((uv_handle_t *)&a->pause, on_closed);
	if (a->events->end && !a->shared)
		discard_waiting(a);
	close_fd(&a->fd);
	close_fd(&a->spare_fd);
	for (unsigned i = 0; i < a->n_closings; i++)
		closing_release(a->closings[i]);
	a->n_closings = 0;
}
