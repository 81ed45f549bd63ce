/* given_sockets_test.c: sockets of a service manager, told apart by what they are bound to. */
#include "base/given_sockets.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct given_sockets g;
static char path[64];

static struct sockaddr_un unix_address(const char *at)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	memcpy(un.sun_path, at, strlen(at));
	return un;
}

static int listen_unix(int type)
{
	struct sockaddr_un un = unix_address(path);
	int fd = socket(AF_UNIX, type, 0);

	unlink(path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

/* ret_port: in the host's order. */
static int listen_inet(in_port_t *ret_port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&in, &n), 0);
	*ret_port = ntohs(in.sin_port);
	return fd;
}

static int take_unix(int type, const char *at)
{
	struct sockaddr_un un = unix_address(at);

	return given_sockets_take(&g, type, (struct sockaddr *)&un, sizeof(un));
}

static int take_inet(in_addr_t host, in_port_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};

	return given_sockets_take(&g, SOCK_STREAM, (struct sockaddr *)&in, sizeof(in));
}

static void begin(void)
{
	snprintf(path, sizeof(path), "/tmp/given_sockets_test.%d", (int)getpid());
	g = (struct given_sockets){0};
}

static void end(void)
{
	unlink(path);
}

TestSuite(given_sockets, .init = begin, .fini = end);

Test(given_sockets, a_unix_socket_by_path_and_type)
{
	g.fds[g.n++] = listen_unix(SOCK_SEQPACKET);
	cr_expect_eq(take_unix(SOCK_STREAM, path), -1);
	cr_expect_eq(take_unix(SOCK_SEQPACKET, "/tmp/another"), -1);
	cr_expect_eq(take_inet(INADDR_LOOPBACK, 0), -1);
	int fd = take_unix(SOCK_SEQPACKET, path);

	cr_assert_geq(fd, 0);
	cr_expect(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_expect_eq(take_unix(SOCK_SEQPACKET, path), -1, "it is taken");
	close(fd);
	cr_expect_eq(given_sockets_close(&g), 0);
}

Test(given_sockets, tcp_by_address_and_port)
{
	in_port_t port, other;

	g.fds[g.n++] = listen_inet(&port);
	g.fds[g.n++] = listen_inet(&other);
	cr_expect_eq(take_inet(INADDR_ANY, port), -1);
	int second = g.fds[1], first = g.fds[0];

	cr_expect_eq(take_inet(INADDR_LOOPBACK, other), second);
	cr_expect_eq(take_inet(INADDR_LOOPBACK, other), -1);
	cr_expect_eq(take_inet(INADDR_LOOPBACK, 0), first, "any port");
	close(first);
	close(second);
}

Test(given_sockets, what_does_not_listen_is_no_listener)
{
	struct sockaddr_un un = unix_address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	g.fds[g.n++] = fd;
	g.fds[g.n++] = open("/dev/null", O_RDONLY);
	cr_expect_eq(take_unix(SOCK_STREAM, path), -1);
	cr_expect_eq(given_sockets_close(&g), 2);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
}

/* Descriptor 3 is the test runner's: this goes on in a child. */
static bool counts(const char *fds, const char *pid, size_t n)
{
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "grpc", 1);
	unsetenv("LISTEN_PID");
	if (pid)
		setenv("LISTEN_PID", pid, 1);
	given_sockets_collect(&g);
	return g.n == n && !getenv("LISTEN_FDS") && !getenv("LISTEN_PID") &&
	       !getenv("LISTEN_FDNAMES");
}

static int collect_in_child(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (dup2(listen_unix(SOCK_STREAM), GIVEN_SOCKETS_FIRST) != GIVEN_SOCKETS_FIRST)
		return 1;
	if (!counts("1", "1", 0) || !counts("many", pid, 0))
		return 2;
	if (!counts("1", pid, 1) || g.fds[0] != GIVEN_SOCKETS_FIRST || !counts("1", NULL, 1))
		return 3;
	return fcntl(GIVEN_SOCKETS_FIRST, F_GETFD) & FD_CLOEXEC ? 0 : 4;
}

Test(given_sockets, those_that_the_environment_counts)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(collect_in_child());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "%x", status);
}
