/* connect_test.c: addresses, and sockets that answer, refuse, or let one wait. */
#include "clients/c/connect.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "tests/support/failalloc.h"

static char text[512], path[64], address[80];

static int connect_text(const char *where)
{
	bool local;
	int fd = -1,
	    r = connect_address(&fd, &local, where, clock_ns() + 5 * NS_PER_S, text, sizeof(text));

	cr_assert_eq(r == 0, fd >= 0);
	close_fd(&fd);
	return r;
}

static int listen_unix(int type, int backlog)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type, 0);

	(void)snprintf(path, sizeof(path), "/tmp/modeld-connect-%d", (int)getpid());
	(void)snprintf(address, sizeof(address), "unix:%s", path);
	(void)unlink(path);
	memcpy(at.sun_path, path, strlen(path) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

Test(connect, what_is_no_address)
{
	static const char *const wrong[] = {"", "host", "host:", ":1", "a:b:c:1", "[]:1",
		"127.0.0.1:notaport", "127.0.0.1:65536", "unix:",
		"unix:/this/path/is/longer/than/the/hundred/and/eight/bytes/that/an/address/of/a/"
		"unix/socket/can/ever/hold/so/it/is/refused"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		cr_assert_eq(connect_text(wrong[i]), -EINVAL, "%s", wrong[i]);
		cr_assert(strstr(text, "is no address"), "%s", text);
	}
}

Test(connect, a_long_host)
{
	static char host[400];

	memset(host, 'h', sizeof(host) - 1);
	memcpy(host + 380, ":1", 3);
	cr_assert_eq(connect_text(host), -EINVAL);
}

Test(connect, nobody_listens)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char where[32];

	/* A port of ours on which nobody listens. */
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
	(void)snprintf(where, sizeof(where), "127.0.0.1:%d", ntohs(at.sin_port));
	cr_assert_eq(connect_text(where), -ECONNREFUSED);
	cr_assert(strstr(text, where), "%s", text);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(connect_text(where), 0);
	close(fd);
	cr_assert_eq(connect_text("unix:/nonexistent/socket"), -ENOENT);
	cr_assert_eq(connect_text("no such host:1"), -EHOSTUNREACH);
}

Test(connect, unix_sockets)
{
	int listener = listen_unix(SOCK_STREAM, 4), fd = -1;
	bool local = false;

	cr_assert_eq(
		connect_address(&fd, &local, address, CLOCK_NO_DEADLINE, text, sizeof(text)), 0);
	cr_assert(local);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close_fd(&fd);
	cr_assert_eq(connect_seqpacket(&fd, path, CLOCK_NO_DEADLINE, text, sizeof(text)),
		-EPROTOTYPE, "another type");
	close(listener);
	cr_assert_eq(connect_text(address), -ECONNREFUSED, "stale");
	listener = listen_unix(SOCK_SEQPACKET, 4);
	cr_assert_eq(connect_seqpacket(&fd, path, CLOCK_NO_DEADLINE, text, sizeof(text)), 0);
	cr_assert_not(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close_fd(&fd);
	cr_assert_eq(connect_seqpacket(&fd, "", CLOCK_NO_DEADLINE, text, sizeof(text)), -EINVAL);
	cr_assert(strstr(text, "empty"), "%s", text);
	close(listener);
	(void)unlink(path);
}

Test(connect, a_full_backlog_is_waited_for_until_the_deadline)
{
	int listener = listen_unix(SOCK_STREAM, 0), fds[8], r = 0;
	bool local;
	size_t n = 0;

	while (n < 8 && !r) {
		r = connect_address(
			&fds[n], &local, address, clock_ns() + 20 * NS_PER_MS, text, sizeof(text));
		n += r == 0;
	}
	cr_assert_eq(r, -ETIMEDOUT, "after %zu connections: %d", n, r);
	cr_assert_eq(connect_address(&fds[n], &local, address, 0, text, sizeof(text)), -ETIMEDOUT);
	while (n > 0)
		close(fds[--n]);
	close(listener);
	(void)unlink(path);
}

/* --- Several addresses ------------------------------------------------------------------------ */

struct place {
	int fd;
	struct sockaddr_in at;
	struct addrinfo info;
};

/* On a port of 127.0.0.1. listens: 1, or 0: nobody does; -1: whoever does takes no more connections, nor refuses any */
static void place_open(struct place *p, int listens)
{
	socklen_t n = sizeof(p->at);

	*p = (struct place){.fd = socket(AF_INET, SOCK_STREAM, 0),
		.at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	p->info = (struct addrinfo){.ai_family = AF_INET,
		.ai_addr = (struct sockaddr *)&p->at,
		.ai_addrlen = sizeof(p->at)};
	cr_assert_eq(bind(p->fd, p->info.ai_addr, n), 0);
	cr_assert_eq(getsockname(p->fd, p->info.ai_addr, &n), 0);
	cr_assert(!listens || listen(p->fd, listens > 0 ? 8 : 0) == 0);
	for (int r = 0; listens < 0 && r != -ETIMEDOUT;) {
		int fd = -1;

		r = connect_any(&fd, &p->info, clock_ns() + 20 * NS_PER_MS);
		cr_assert(r == 0 || r == -ETIMEDOUT);
		/* The test's end closes it. */
	}
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in peer;
	socklen_t n = sizeof(peer);

	cr_assert_eq(getpeername(fd, (struct sockaddr *)&peer, &n), 0);
	return peer.sin_port;
}

Test(connect, the_first_address_that_answers, .timeout = 60)
{
	struct place silent, refuses, answers;
	int fd = -1;

	place_open(&silent, -1);
	place_open(&refuses, 0);
	place_open(&answers, 1);
	silent.info.ai_next = &refuses.info;
	refuses.info.ai_next = &answers.info;
	cr_assert_eq(connect_any(&fd, &silent.info, CLOCK_NO_DEADLINE), 0);
	cr_assert_eq(port_of(fd), answers.at.sin_port);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close_fd(&fd);
	cr_assert_eq(connect_any(&fd, &refuses.info, CLOCK_NO_DEADLINE), 0);
	close_fd(&fd);
	refuses.info.ai_next = NULL;
	cr_assert_eq(connect_any(&fd, &refuses.info, CLOCK_NO_DEADLINE), -ECONNREFUSED);
	cr_assert_eq(connect_any(&fd, &silent.info, clock_ns() + NS_PER_MS), -ETIMEDOUT);
	cr_assert_eq(connect_any(&fd, NULL, CLOCK_NO_DEADLINE), -EHOSTUNREACH);
	cr_assert_eq(fd, -1);
}

/* As where there is no route: it costs the others no time. */
Test(connect, addresses_that_fail_at_once, .timeout = 60)
{
	struct place silent, answers;
	struct addrinfo wrong[100];
	int fd = -1;

	place_open(&silent, -1);
	place_open(&answers, 1);
	silent.info.ai_next = &wrong[0];
	for (size_t i = 0; i < 100; i++) {
		wrong[i] = answers.info;
		wrong[i].ai_addrlen = 1;
		wrong[i].ai_next = i < 99 ? &wrong[i + 1] : &answers.info;
	}
	cr_assert_eq(connect_any(&fd, &silent.info, clock_ns() + 20 * NS_PER_S), 0);
	cr_assert_eq(port_of(fd), answers.at.sin_port);
	close_fd(&fd);
	wrong[99].ai_next = NULL;
	cr_assert_eq(connect_any(&fd, &wrong[0], CLOCK_NO_DEADLINE), -EINVAL);
}

Test(connect, more_addresses_than_are_tried)
{
	struct place refuses[20];
	int fd = -1;

	for (size_t i = 0; i < 20; i++) {
		place_open(&refuses[i], 0);
		refuses[i].info.ai_next = i < 19 ? &refuses[i + 1].info : NULL;
	}
	cr_assert_eq(connect_any(&fd, &refuses[0].info, CLOCK_NO_DEADLINE), -ECONNREFUSED);
}

Test(connect, waiting)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(connect_wait(fds[0], POLLOUT, 0), 0, "ready at once, though the time is over");
	cr_assert_eq(connect_wait(fds[0], POLLIN, 0), -ETIMEDOUT);
	cr_assert_eq(connect_wait(fds[0], POLLIN, clock_ns() + 100 * NS_PER_US), -ETIMEDOUT);
	close(fds[1]);
	cr_assert_eq(connect_wait(fds[0], POLLIN, CLOCK_NO_DEADLINE), 0, "the end is an event");
	close(fds[0]);
}

static int connect_once(void *arg)
{
	bool local;
	int fd = -1;
	int r = connect_address(&fd, &local, address, CLOCK_NO_DEADLINE, text, sizeof(text));

	cr_assert_eq(r == 0, fd >= 0);
	close_fd(&fd);
	return r;
}

Test(connect, fault_loop)
{
	int listener = listen_unix(SOCK_STREAM, 64);

	FAULT_LOOP(connect_once, NULL);
	close(listener);
	(void)unlink(path);
}

/* Who listens on the first place is found there; else the next is looked at, and the last is taken as it is. */
Test(connect, the_first_that_answers)
{
	struct places p = {.n = 3, .address = {"unix:/nonexistent/socket", address, "127.0.0.1:1"}};
	int listener = listen_unix(SOCK_STREAM, 4);

	cr_assert_eq(connect_first(&p), p.address[1]);
	close(listener);
	cr_assert_eq(connect_first(&p), p.address[2]);
	cr_assert_eq(unlink(path), 0);
	p.n = 1;
	cr_assert_eq(connect_first(&p), p.address[0]);
}

Test(connect, one_whose_queue_is_full_is_there)
{
	struct places p = {.n = 2, .address = {address, "127.0.0.1:1"}};
	int listener = listen_unix(SOCK_STREAM, 0);

	for (int i = 0; i < 4; i++)
		cr_assert_eq(connect_first(&p), p.address[0]);
	close(listener);
	cr_assert_eq(unlink(path), 0);
}

Test(connect, a_handoff_socket_is_told_apart)
{
	int listener = listen_unix(SOCK_SEQPACKET, 4);

	cr_assert_eq(connect_text(address), -EPROTOTYPE);
	cr_assert(strstr(text, "handoff") && strstr(text, "modeld.sock is beside"), "%s", text);
	close(listener);
	cr_assert_eq(unlink(path), 0);
}
