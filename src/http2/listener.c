/*
 * listener.c: accepts with accept4() on a uv_poll. uv_listen() is not used because it must be given
 * a handle for each connection before it can refuse one.
 *
 * Out of descriptors: the spare one is closed, the connection accepted and closed, the spare
 * reopened. Any other failure: no accepting for PAUSE_NS. Daemon process, loop thread.
 */
#include "http2/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define BACKLOG	     1024
#define ACCEPT_BATCH 64u /* in one go; other handles get their turn then */
#define PAUSE_NS     (100 * NS_PER_MS)
#define COMPLAINT_NS NS_PER_S

/* A flood of refusals must not become a flood of log lines. */
static void complain(struct listener *l, const char *reason)
{
	uint64_t now_ns = clock_ns();

	l->n_refused++;
	if (l->complained_ns && now_ns - l->complained_ns < COMPLAINT_NS)
		return;
	log_warning("connections refused", "address=%s reason=\"%s\" refused=%llu", l->text, reason,
		(unsigned long long)l->n_refused);
	l->complained_ns = now_ns;
	l->n_refused = 0;
}

static void refuse_with_spare(struct listener *l)
{
	int fd;

	close_fd(&l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	close_fd(&fd);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void resume(struct deadline *d)
{
	struct listener *l = (struct listener *)((char *)d - offsetof(struct listener, pause));

	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void pause_accepting(struct listener *l)
{
	if (!deadline_set(l->deadlines, &l->pause, clock_ns() + PAUSE_NS))
		uv_poll_stop(&l->poll);
}

/* Returns whether to go on at once. */
static bool accept_failed(struct listener *l, int error)
{
	switch (error) {
	case EAGAIN:
		return false;
	case EINTR:
	case ECONNABORTED:
		return true;
	case EMFILE:
	case ENFILE:
		complain(l, err_str(-error));
		if (l->spare_fd >= 0) {
			refuse_with_spare(l);
			return true;
		}
		break;
	default:
		complain(l, err_str(-error));
		break;
	}
	pause_accepting(l);
	return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (!accept_failed(l, errno))
				return;
			continue;
		}
		if (!l->on_accept(l->data, fd, l->endpoint))
			complain(l, "no room: see max_connections");
		if (l->fd < 0) /* closed from inside */
			return;
	}
}

static int bind_inet(int fd, const struct address *a)
{
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		return -errno;
	/* One socket a family: "*:port" opens both, and nobody gets v4-mapped addresses. */
	if (a->socket.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)))
		return -errno;
	return bind(fd, (const struct sockaddr *)&a->socket, a->n_socket) ? -errno : 0;
}

static int open_socket(struct listener *l, const struct address *address, const char **ret_what)
{
	const struct endpoint *e = l->endpoint;
	const struct socket_file_options access = {e->unix_mode, e->unix_group};
	int r;

	*ret_what = "socket";
	l->fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	*ret_what = "bind";
	if (e->kind == ENDPOINT_UNIX)
		r = socket_file_bind(&l->file, l->fd, (const struct sockaddr_un *)&address->socket,
			address->n_socket, &access, ret_what);
	else
		r = bind_inet(l->fd, address);
	if (r)
		return r;
	l->address.n_socket = sizeof(l->address.socket);
	if (getsockname(l->fd, (struct sockaddr *)&l->address.socket, &l->address.n_socket))
		return -errno;
	*ret_what = "listen";
	return listen(l->fd, BACKLOG) ? -errno : 0;
}

int listener_open(struct listener *l, uv_loop_t *loop, struct deadlines *deadlines,
	const struct endpoint *endpoint, const struct address *address, char *text, size_t cap)
{
	const char *what;
	int r;

	l->fd = l->spare_fd = -1;
	l->endpoint = endpoint;
	l->deadlines = deadlines;
	l->pause = (struct deadline){.on_due = resume};
	address_format(address, l->text);
	r = open_socket(l, address, &what);
	if (!r) {
		what = "poll";
		r = uv_poll_init(loop, &l->poll, l->fd);
	}
	if (r) {
		snprintf(text, cap, "%s: %s: %s", l->text, what, err_str(r));
		socket_file_remove(&l->file);
		close_fd(&l->fd);
		return r;
	}
	address_format(&l->address, l->text);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	l->poll.data = l;
	r = uv_poll_start(&l->poll, UV_READABLE, on_readable);
	assert(r == 0); /* the descriptor is new: nobody else polls it */
	return r;
}

void listener_close(struct listener *l, uv_close_cb on_closed)
{
	deadline_clear(l->deadlines, &l->pause);
	socket_file_remove(&l->file);
	uv_poll_stop(&l->poll);
	close_fd(&l->fd);
	close_fd(&l->spare_fd);
	uv_close((uv_handle_t *)&l->poll, on_closed);
}
