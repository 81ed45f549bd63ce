/*
 * given_sockets.c: found by what they are bound to, so nothing depends on their order or their names.
 */
#include "base/given_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/digits.h"

static bool is_ours(const char *pid)
{
	uint64_t n;

	return !pid || (!decimal_parse(pid, &n) && n == (uint64_t)getpid());
}

void given_sockets_collect(struct given_sockets *g)
{
	const char *count = getenv("LISTEN_FDS");
	uint64_t n;

	g->n = 0;
	if (count && is_ours(getenv("LISTEN_PID")) && !decimal_parse(count, &n)) {
		for (int fd = GIVEN_SOCKETS_FIRST; n > 0 && g->n < GIVEN_SOCKETS_MAX; n--, fd++) {
			if (!fcntl(fd, F_SETFD, FD_CLOEXEC))
				g->fds[g->n++] = fd;
		}
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}

static bool has_option(int fd, int option, int value)
{
	socklen_t n = sizeof(int);
	int got;

	return !getsockopt(fd, SOL_SOCKET, option, &got, &n) && got == value;
}

static bool same_inet(const struct sockaddr_in *a, const struct sockaddr_in *wanted)
{
	return a->sin_addr.s_addr == wanted->sin_addr.s_addr &&
	       (a->sin_port == wanted->sin_port || wanted->sin_port == 0);
}

static bool same_inet6(const struct sockaddr_in6 *a, const struct sockaddr_in6 *wanted)
{
	return !memcmp(&a->sin6_addr, &wanted->sin6_addr, sizeof(a->sin6_addr)) &&
	       a->sin6_scope_id == wanted->sin6_scope_id &&
	       (a->sin6_port == wanted->sin6_port || wanted->sin6_port == 0);
}

/* A path ends at its first NUL, an abstract name where the address does. */
static bool same_unix(const struct sockaddr_un *a, socklen_t n, const struct sockaddr_un *wanted,
	socklen_t n_wanted)
{
	if (wanted->sun_path[0])
		return !strncmp(a->sun_path, wanted->sun_path, sizeof(a->sun_path));
	return n == n_wanted && !memcmp(a, wanted, n);
}

static bool is_bound_to(int fd, const struct sockaddr *wanted, socklen_t n_wanted)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &n) || a.ss_family != wanted->sa_family)
		return false;
	switch (a.ss_family) {
	case AF_INET:
		return same_inet((struct sockaddr_in *)&a, (const struct sockaddr_in *)wanted);
	case AF_INET6:
		return same_inet6((struct sockaddr_in6 *)&a, (const struct sockaddr_in6 *)wanted);
	case AF_UNIX:
		return same_unix(
			(struct sockaddr_un *)&a, n, (const struct sockaddr_un *)wanted, n_wanted);
	default:
		return false;
	}
}

int given_sockets_take(
	struct given_sockets *g, int type, const struct sockaddr *address, socklen_t n)
{
	for (size_t i = 0; i < g->n; i++) {
		int fd = g->fds[i], flags;

		if (fd < 0 || !has_option(fd, SO_TYPE, type) || !has_option(fd, SO_ACCEPTCONN, 1) ||
			!is_bound_to(fd, address, n))
			continue;
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			continue;
		g->fds[i] = -1;
		return fd;
	}
	return -1;
}

size_t given_sockets_close(struct given_sockets *g)
{
	size_t n_open = 0;

	for (size_t i = 0; i < g->n; i++) {
		n_open += g->fds[i] >= 0;
		close_fd(&g->fds[i]);
	}
	g->n = 0;
	return n_open;
}
