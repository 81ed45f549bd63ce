/* listener.c: socket, bind, listen; an acceptor does the rest. Daemon process, loop thread. */
#include "http2/listener.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/inet_bind.h"
#include "base/list.h"
#include "http2/rights.h"

/* As many as Linux allows by default: what does not fit is tried again by its sender after 1, 3 and 7 s. */
#define BACKLOG 4096

static int bind_address(
	struct listener *l, int fd, const struct address *address, const char **ret_what)
{
	const struct endpoint *e = l->endpoint;
	const struct socket_file_options access = {e->unix_mode, e->unix_group};

	if (e->kind != ENDPOINT_UNIX)
		return inet_bind(fd, address);
	return socket_file_bind(&l->file, fd, (const struct sockaddr_un *)&address->socket,
		address->n_socket, &access, ret_what);
}

/* Who connects by a Unix socket could send descriptors whose closing waits for as long as he likes; nobody wants any here.
 * Connections have it from their listener. */
static void take_no_descriptors(struct listener *l, int fd)
{
	l->rights_come = l->endpoint->kind == ENDPOINT_UNIX && !rights_refuse(fd);
}

/* ret_fd: own; -1: there is none */
static void take_given(struct listener *l, const struct address *address, int *ret_fd)
{
	*ret_fd = l->given ? given_sockets_take(l->given, SOCK_STREAM,
				     (const struct sockaddr *)&address->socket, address->n_socket)
			   : -1;
	l->managed = *ret_fd >= 0 && l->endpoint->kind == ENDPOINT_UNIX &&
		     !socket_file_is_held((const struct sockaddr_un *)&address->socket);
}

static int bind_new(
	struct listener *l, const struct address *address, int *ret_fd, const char **ret_what)
{
	_cleanup_(close_fd) int fd = -1;
	int r;

	*ret_what = "socket";
	fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	*ret_what = "bind";
	r = bind_address(l, fd, address, ret_what);
	if (r)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int open_socket(
	struct listener *l, const struct address *address, int *ret_fd, const char **ret_what)
{
	_cleanup_(close_fd) int fd = -1;
	int r;

	*ret_what = "socket";
	take_given(l, address, &fd);
	r = fd < 0 ? bind_new(l, address, &fd, ret_what) : 0;
	if (r)
		return r;
	take_no_descriptors(l, fd);
	l->address.n_socket = sizeof(l->address.socket);
	if (getsockname(fd, (struct sockaddr *)&l->address.socket, &l->address.n_socket))
		return -errno;
	*ret_what = "listen";
	if (listen(fd, BACKLOG))
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static bool on_accept(struct acceptor *a, int fd)
{
	struct listener *l = container_of(a, struct listener, acceptor);

	return l->on_accept(l->data, fd, l->endpoint);
}

/* Whom there is no room for may have sent some already. */
static bool on_accept_rights(struct acceptor *a, int fd)
{
	struct listener *l = container_of(a, struct listener, acceptor);

	if (l->has_room(l->data, l->endpoint))
		return l->on_accept(l->data, fd, l->endpoint);
	acceptor_discard(a, fd);
	return false;
}

static void on_closed(struct acceptor *a)
{
	struct listener *l = container_of(a, struct listener, acceptor);

	l->on_closed(l);
}

static const struct acceptor_events acceptor_events = {
	.on_accept = on_accept,
	.on_closed = on_closed,
	.limit = "max_connections",
};
static const struct acceptor_events acceptor_events_rights = {
	.on_accept = on_accept_rights,
	.on_closed = on_closed,
	.limit = "max_connections",
	.end = rights_end,
};

int listener_open(struct listener *l, uv_loop_t *loop, const struct endpoint *endpoint,
	const struct address *address, char *text, size_t cap)
{
	const char *what;
	int fd = -1;
	int r;

	l->endpoint = endpoint;
	address_format(address, l->text);
	r = open_socket(l, address, &fd, &what);
	if (!r) {
		what = "poll";
		r = acceptor_open(&l->acceptor, loop, fd, l->text,
			l->rights_come ? &acceptor_events_rights : &acceptor_events);
	}
	if (r) {
		snprintf(text, cap, "%s: %s: %s", l->text, what, err_str(r));
		socket_file_remove(&l->file);
		return r;
	}
	l->acceptor.shared = l->file.inode == 0; /* given */
	address_format(&l->address, l->text);
	return 0;
}

void listener_let_go(struct listener *l)
{
	l->acceptor.shared = true;
	socket_file_let_go(&l->file);
}

void listener_take_over(struct listener *l)
{
	if (l->managed)
		return;
	l->acceptor.shared = false;
	if (l->endpoint->kind == ENDPOINT_UNIX)
		socket_file_take_over(&l->file, (const struct sockaddr_un *)&l->address.socket);
}

void listener_close(struct listener *l, void (*on_listener_closed)(struct listener *l))
{
	l->on_closed = on_listener_closed;
	socket_file_remove(&l->file);
	acceptor_close(&l->acceptor);
}
