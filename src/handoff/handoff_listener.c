/*
 * handoff_listener.c: bind, accept4(), refuse.
 *
 * The file's mode and group are set before listen(), so nobody can connect with wider permissions than
 * configured. Out of descriptors: the spare one is closed, the connection accepted and closed, the
 * spare reopened, so that clients see an end instead of a hang. Any other failure: no accepting for
 * PAUSE_MS. Daemon process, loop thread.
 */
#include "handoff/handoff_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "handoff/handoff.h"

#define BACKLOG	     256
#define ACCEPT_BATCH 16u /* in one go; other handles get their turn then */
#define PAUSE_MS     100u
#define COMPLAINT_NS NS_PER_S

static void complain(struct handoff_listener *l, const char *reason)
{
	uint64_t now_ns = clock_ns();

	if (l->complained_ns && now_ns - l->complained_ns < COMPLAINT_NS)
		return;
	l->complained_ns = now_ns;
	log_warning("handoff connection refused", "socket=%s reason=\"%s\"", l->path, reason);
}

static int fill_address(const char *path, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	memcpy(un->sun_path, path, strlen(path));
	return 0;
}

/* --- Accepting -------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
	struct handoff_listener *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void refuse_with_spare(struct handoff_listener *l)
{
	int fd;

	close_fd(&l->spare);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	close_fd(&fd);
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Returns whether to go on at once. */
static bool accept_failed(struct handoff_listener *l, int error)
{
	if (error == EAGAIN)
		return false;
	if (error == EINTR || error == ECONNABORTED)
		return true;
	complain(l, err_str(-error));
	if ((error == EMFILE || error == ENFILE) && l->spare >= 0) {
		refuse_with_spare(l);
		return true;
	}
	uv_poll_stop(&l->poll);
	uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
	return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct handoff_listener *l = poll->data;

	for (uint32_t i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (!accept_failed(l, errno))
				return;
			continue;
		}
		if (!l->on_accept(l->data, fd))
			complain(l, "no room: see [handoff] max_connections");
	}
}

/* --- Life ------------------------------------------------------------------------------------- */

static int open_socket(
	struct handoff_listener *l, const struct handoff_settings *s, const char **ret_what)
{
	const struct socket_file_options access = {s->unix_mode, s->unix_group};
	struct sockaddr_un un;
	int r = fill_address(s->socket, &un);

	*ret_what = "socket";
	if (r)
		return r;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	r = socket_file_bind(&l->file, l->fd, &un, sizeof(un), &access, ret_what);
	if (r)
		return r;
	*ret_what = "listen";
	return listen(l->fd, BACKLOG) ? -errno : 0;
}

static int start(struct handoff_listener *l, uv_loop_t *loop)
{
	int r = uv_poll_init(loop, &l->poll, l->fd);

	if (r)
		return r;
	uv_timer_init(loop, &l->pause);
	l->poll.data = l->pause.data = l;
	l->n_handles = 2;
	l->open = true;
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

int handoff_listener_open(struct handoff_listener *l, uv_loop_t *loop,
	const struct handoff_settings *settings, bool (*on_accept)(void *data, int fd), void *data,
	char *text, size_t cap)
{
	const char *what;
	int r;

	*l = (struct handoff_listener){.fd = -1,
		.spare = -1,
		.path = settings->socket,
		.on_accept = on_accept,
		.data = data};
	r = open_socket(l, settings, &what);
	if (!r) {
		what = "poll";
		r = start(l, loop);
	}
	if (!r)
		return 0;
	snprintf(text, cap, "[handoff] socket %s: %s: %s", l->path, what, err_str(r));
	handoff_listener_close(l);
	return r;
}

static void on_closed(uv_handle_t *handle)
{
	struct handoff_listener *l = handle->data;

	if (--l->n_handles == 0 && l->on_closed)
		l->on_closed(l->data);
}

void handoff_listener_close(struct handoff_listener *l)
{
	socket_file_remove(&l->file);
	if (l->open) {
		l->open = false;
		uv_close((uv_handle_t *)&l->poll, on_closed);
		uv_close((uv_handle_t *)&l->pause, on_closed);
	}
	close_fd(&l->fd);
	close_fd(&l->spare);
}
