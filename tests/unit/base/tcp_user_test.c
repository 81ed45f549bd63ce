/* tcp_user_test.c: who made the socket at the other end. */
#include "base/tcp_user.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a socket connected to one of ours, at `address`. */
static void check(const struct sockaddr *address, socklen_t n)
{
	struct sockaddr_storage bound;
	socklen_t n_bound = sizeof(bound);
	int listening = socket(address->sa_family, SOCK_STREAM, 0);
	int client = socket(address->sa_family, SOCK_STREAM, 0);
	int fd;

	if (listening < 0 || bind(listening, address, n))
		cr_skip_test("no such address here");
	cr_assert_eq(listen(listening, 1), 0);
	cr_assert_eq(getsockname(listening, (struct sockaddr *)&bound, &n_bound), 0);
	cr_assert_eq(connect(client, (struct sockaddr *)&bound, n_bound), 0);
	fd = accept(listening, NULL, NULL);
	cr_assert_geq(fd, 0);
	cr_expect_eq(tcp_user(fd), (int64_t)getuid());
	close(client);
	close(fd);
	close(listening);
}

Test(tcp_user, of_ipv4)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	check((struct sockaddr *)&in, sizeof(in));
}

Test(tcp_user, of_ipv6)
{
	struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	check((struct sockaddr *)&in, sizeof(in));
}

Test(tcp_user, of_no_tcp)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_expect_eq(tcp_user(fds[0]), -1);
	cr_expect_eq(tcp_user(-1), -1);
	close(fds[0]);
	close(fds[1]);
}
