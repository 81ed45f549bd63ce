/* peer_test.c: who is at the other end of a socket. */
#include "base/peer.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Test(peer, of_a_unix_socket)
{
	struct peer p;
	char text[PEER_TEXT_MAX];
	char want[32];
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	peer_ask(&p, fds[0]);
	cr_assert(address_is_unix(&p.address));
	cr_assert_eq(p.uid, (int64_t)getuid());
	cr_assert_not(p.loopback);
	snprintf(want, sizeof(want), "uid:%u,pid:%d", getuid(), getpid());
	cr_assert_str_eq(peer_format(&p, text), want);
	close(fds[0]);
	close(fds[1]);
}

Test(peer, by_tcp_from_this_host)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in);
	int listening = socket(AF_INET, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[PEER_TEXT_MAX];
	struct peer p;

	cr_assert_eq(bind(listening, (struct sockaddr *)&in, sizeof(in)), 0);
	cr_assert_eq(getsockname(listening, (struct sockaddr *)&in, &n), 0);
	cr_assert_eq(listen(listening, 1), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	peer_ask(&p, fd);
	cr_assert(p.loopback);
	cr_assert_eq(p.uid, -1);
	cr_assert_eq(p.user, (int64_t)getuid());
	cr_assert_eq(address_port(&p.address), ntohs(in.sin_port));
	cr_assert_eq(strncmp(peer_format(&p, text), "127.0.0.1:", 10), 0);
	close(fd);
	close(listening);
}

Test(peer, unknown_when_the_kernel_does_not_tell)
{
	struct peer p;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	char text[PEER_TEXT_MAX];

	peer_ask(&p, fd);
	cr_assert_str_eq(peer_format(&p, text), "?");
	cr_assert_eq(p.address.n_socket, 0);
	cr_assert_eq(p.uid, -1);
	cr_assert_not(p.loopback);
	close(fd);
}

Test(peer, by_ipv4_through_a_listener_of_both_kinds)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(in6);
	int listening = socket(AF_INET6, SOCK_STREAM, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int off = 0;
	struct peer p;
	int taken;

	if (listening < 0 || setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
		bind(listening, (struct sockaddr *)&in6, sizeof(in6)))
		cr_skip_test("no IPv6 here");
	cr_assert_eq(getsockname(listening, (struct sockaddr *)&in6, &n), 0);
	cr_assert_eq(listen(listening, 1), 0);
	in.sin_port = in6.sin6_port;
	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	taken = accept(listening, NULL, NULL);
	peer_ask(&p, taken);
	cr_assert(p.loopback);
	cr_assert_eq(p.user, (int64_t)getuid());
	close(taken);
	close(fd);
	close(listening);
}
