/*
 * handoff_listener.c: the socket file of local clients; an acceptor does the rest.
 *
 * The file's mode and group are set before listen(), so nobody can connect with wider permissions
 * than configured. Daemon process, loop thread.
 */
#include "handoff/handoff_listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/given_sockets.h"
#include "base/list.h"
#include "base/seqpacket.h"
#include "handoff/handoff.h"

#define BACKLOG 256

static int fill_address(const char *path, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(un->sun_path))
		return -ENAMETOOLONG;
	memcpy(un->sun_path, path, strlen(path));
	return 0;
}

static int open_socket(struct handoff_listener *l, const struct handoff_settings *s, int *ret_fd,
	const char **ret_what)
{
	const struct socket_file_options access = {s->unix_mode, s->unix_group};
	_cleanup_(close_fd) int fd = -1;
	struct sockaddr_un un;
	int r = fill_address(s->socket, &un);

	*ret_what = "socket";
	if (r)
		return r;
	if (s->given)
		*ret_fd = given_sockets_take(
			s->given, SOCK_SEQPACKET, (const struct sockaddr *)&un, sizeof(un));
	if (*ret_fd >= 0) {
		l->managed = !socket_file_is_held(&un);
		return 0;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = socket_file_bind(&l->file, fd, &un, sizeof(un), &access, ret_what);
	if (r)
		return r;
	*ret_what = "listen";
	if (listen(fd, BACKLOG))
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static bool on_accept(struct acceptor *a, int fd)
{
	struct handoff_listener *l = container_of(a, struct handoff_listener, acceptor);

	return l->on_accept(l->data, fd);
}

static void on_closed(struct acceptor *a)
{
	struct handoff_listener *l = container_of(a, struct handoff_listener, acceptor);

	if (l->on_closed)
		l->on_closed(l->data);
}

static const struct acceptor_events acceptor_events = {
	.on_accept = on_accept,
	.on_closed = on_closed,
	.limit = "[handoff] max_connections",
	.end = seqpacket_end,
};

int handoff_listener_open(struct handoff_listener *l, uv_loop_t *loop,
	const struct handoff_settings *settings, bool (*on_client)(void *data, int fd), void *data,
	char *text, size_t cap)
{
	const char *what;
	bool given; /* its file is its maker's */
	int fd = -1;
	int r;

	*l = (struct handoff_listener){.on_accept = on_client, .data = data};
	r = open_socket(l, settings, &fd, &what);
	given = !r && l->file.inode == 0;
	if (!r) {
		what = "poll";
		r = acceptor_open(&l->acceptor, loop, fd, settings->socket, &acceptor_events);
	}
	l->open = r == 0;
	l->acceptor.shared = given;
	if (!r)
		return 0;
	snprintf(text, cap, "[handoff] socket %s: %s: %s", settings->socket, what, err_str(r));
	socket_file_remove(&l->file);
	return r;
}

void handoff_listener_let_go(struct handoff_listener *l)
{
	l->acceptor.shared = true;
	socket_file_let_go(&l->file);
}

void handoff_listener_take_over(struct handoff_listener *l, const struct handoff_settings *settings)
{
	struct sockaddr_un un;

	if (l->managed)
		return;
	l->acceptor.shared = false;
	if (!fill_address(settings->socket, &un))
		socket_file_take_over(&l->file, &un);
}

void handoff_listener_take_waiting(struct handoff_listener *l)
{
	if (l->open)
		acceptor_take_waiting(&l->acceptor);
}

void handoff_listener_close(struct handoff_listener *l)
{
	if (!l->open)
		return;
	l->open = false;
	socket_file_remove(&l->file);
	acceptor_close(&l->acceptor);
}

bool handoff_listener_closed(const struct handoff_listener *l)
{
	return l->acceptor.n_handles == 0;
}
