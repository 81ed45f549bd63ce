/*
 * connect.c: a client's socket, and which. Client process, the caller's thread; blocks in poll(2), and where it waits for
 * a name (resolve.h).
 */
#include "clients/c/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/host_port.h"
#include "clients/c/resolve.h"

#define ATTEMPTS_MAX 16
#define STAGGER_NS   (250 * NS_PER_MS) /* RFC 8305, 5 */

/* 0: something is to be seen on one of them; -ETIMEDOUT; -errno */
static int wait_any(struct pollfd *p, size_t n, uint64_t deadline_ns)
{
	for (;;) {
		uint64_t now = clock_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		const struct timespec timeout = {
			.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
		int r = ppoll(p, n, deadline_ns == CLOCK_NO_DEADLINE ? NULL : &timeout, NULL);

		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (deadline_ns <= clock_ns())
			return -ETIMEDOUT;
	}
}

int connect_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};

	return wait_any(&p, 1, deadline_ns);
}

/* --- Several addresses ------------------------------------------------------------------------ */

/* connect(2)s under way; in the place of one that failed is -1. */
struct attempts {
	struct pollfd p[ATTEMPTS_MAX];
	size_t n;
	size_t n_open;
	int error; /* -errno of the last that failed */
};

static void attempts_close(struct attempts *a)
{
	for (size_t i = 0; i < a->n; i++)
		close_fd(&a->p[i].fd);
}

/* False: it failed at once. */
static bool begin(struct attempts *a, const struct addrinfo *to)
{
	_cleanup_(close_fd) int fd =
		socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)) {
		a->error = -errno;
		return false;
	}
	a->p[a->n++] = (struct pollfd){.fd = steal_fd(&fd), .events = POLLOUT};
	a->n_open++;
	return true;
}

/* One that is through: its descriptor, the caller's; or -1. */
static int take_ended(struct attempts *a)
{
	for (size_t i = 0; i < a->n; i++) {
		int error = 0;
		socklen_t n = sizeof(error);

		if (a->p[i].fd < 0 || !a->p[i].revents)
			continue;
		if (getsockopt(a->p[i].fd, SOL_SOCKET, SO_ERROR, &error, &n))
			error = errno;
		if (!error)
			return steal_fd(&a->p[i].fd);
		a->error = -error;
		a->n_open--;
		close_fd(&a->p[i].fd);
	}
	return -1;
}

int connect_any(int *ret_fd, const struct addrinfo *addresses, uint64_t deadline_ns)
{
	_cleanup_(attempts_close) struct attempts a = {.error = -EHOSTUNREACH};
	const struct addrinfo *next = addresses;

	for (;;) {
		bool more = next && a.n < ATTEMPTS_MAX;
		uint64_t patience_ns = clock_add(clock_ns(), STAGGER_NS);
		int fd, r;

		if (more) {
			bool begun = begin(&a, next);

			next = next->ai_next;
			if (!begun)
				continue;
		} else if (a.n_open == 0) {
			return a.error;
		}
		more = next && a.n < ATTEMPTS_MAX;
		r = wait_any(
			a.p, a.n, more && patience_ns < deadline_ns ? patience_ns : deadline_ns);
		if (r && (r != -ETIMEDOUT || !more || clock_ns() >= deadline_ns))
			return r;
		fd = r ? -1 : take_ended(&a);
		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
	}
}

/* --- Unix sockets ----------------------------------------------------------------------------- */

/* What connect(2) on a blocking Unix socket may take: it waits for a place in the listener's queue,
 * for which there is nothing to poll. */
static int limit_connect(int fd, uint64_t deadline_ns)
{
	uint64_t now = clock_ns();
	uint64_t left_us = deadline_ns > now ? (deadline_ns - now) / NS_PER_US : 0;
	struct timeval limit = {0}; /* 0: no limit */

	if (deadline_ns != CLOCK_NO_DEADLINE) {
		limit.tv_sec = (time_t)(left_us / 1000000);
		limit.tv_usec = (suseconds_t)(left_us % 1000000);
		if (left_us == 0)
			limit.tv_usec = 1;
	}
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ? -errno : 0;
}

/* type: SOCK_STREAM or SOCK_SEQPACKET. The descriptor is blocking. */
static int connect_unix(int *ret_fd, int type, const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	_cleanup_(close_fd) int fd = -1;
	int r;

	if (n == 0 || n >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, path, n + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = limit_connect(fd, deadline_ns);
	while (!r && connect(fd, (const struct sockaddr *)&to, sizeof(to))) {
		if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = limit_connect(fd, deadline_ns);
	}
	if (!r)
		r = limit_connect(fd, CLOCK_NO_DEADLINE);
	if (r)
		return r;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Is anybody there? One whose queue is full is. */
static bool listens(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	_cleanup_(close_fd) int fd = -1;

	if (n == 0 || n >= sizeof(to.sun_path))
		return false;
	memcpy(to.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 &&
	       (!connect(fd, (const struct sockaddr *)&to, sizeof(to)) || errno == EAGAIN);
}

const char *connect_first(const struct places *p)
{
	for (size_t i = 0; i + 1 < p->n; i++) {
		if (!strncmp(p->address[i], "unix:", 5) && listens(p->address[i] + 5))
			return p->address[i];
	}
	return p->address[p->n - 1];
}

static int connect_unix_stream(int *ret_fd, const char *path, uint64_t deadline_ns)
{
	_cleanup_(close_fd) int fd = -1;
	int r = connect_unix(&fd, SOCK_STREAM, path, deadline_ns);

	if (!r && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (!r)
		*ret_fd = steal_fd(&fd);
	return r;
}

static int connect_tcp(int *ret_fd, const char *address, uint64_t deadline_ns)
{
	struct addrinfo *found = NULL;
	char host[HOST_MAX];
	char port[8];
	uint16_t number;
	const int on = 1;
	int r = host_port_split(address, host, &number);

	if (r)
		return r;
	(void)snprintf(port, sizeof(port), "%u", number);
	r = resolve_host(&found, host, port, deadline_ns);
	if (r)
		return r;
	r = connect_any(ret_fd, found, deadline_ns);
	freeaddrinfo(found);
	if (!r && setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))) {
		r = -errno;
		close_fd(ret_fd);
	}
	return r;
}

int connect_address(int *ret_fd, bool *ret_local, const char *address, uint64_t deadline_ns,
	char *text, size_t cap)
{
	bool local = !strncmp(address, "unix:", 5);
	int fd = -1;
	int r = local ? connect_unix_stream(&fd, address + 5, deadline_ns)
		      : connect_tcp(&fd, address, deadline_ns);

	if (r == -EINVAL) {
		(void)snprintf(text, cap,
			"'%s' is no address: host:port, [ipv6]:port or unix:/path is%s", address,
			host_port_hint(address));
		return r;
	}
	if (r == -EPROTOTYPE)
		(void)snprintf(text, cap,
			"%s is no socket of gRPC: is it the handoff socket? " PLACES_SOCKET
			" is beside it",
			address);
	else if (r)
		(void)snprintf(text, cap, "cannot connect to %s: %s", address, err_str(r));
	if (r)
		return r;
	*ret_fd = fd;
	*ret_local = local;
	return 0;
}

int connect_seqpacket(int *ret_fd, const char *path, uint64_t deadline_ns, char *text, size_t cap)
{
	int r = connect_unix(ret_fd, SOCK_SEQPACKET, path, deadline_ns);

	if (r == -EINVAL)
		(void)snprintf(text, cap, "'%s' is no path of a socket: it is %s", path,
			*path ? "too long" : "empty");
	else if (r)
		(void)snprintf(text, cap, "cannot connect to %s: %s", path, err_str(r));
	return r;
}
