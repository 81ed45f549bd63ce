/* inet_bind_test.c: an address is taken, and taken but once. */
#include "base/inet_bind.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct address address_of(const char *text)
{
	struct address all[ADDRESSES_MAX];
	char why[256];
	size_t n;

	cr_assert_eq(address_parse(text, all, &n, why, sizeof(why)), 0, "%s", why);
	return all[0];
}

static int socket_of(const struct address *a)
{
	return socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

Test(inet_bind, one_listener_an_address)
{
	struct address a = address_of("127.0.0.1:0");
	struct address bound = {.n_socket = sizeof(bound.socket)};
	int first = socket_of(&a), second = socket_of(&a);

	cr_assert_eq(inet_bind(first, &a), 0);
	cr_assert_eq(listen(first, 1), 0);
	cr_assert_eq(getsockname(first, (struct sockaddr *)&bound.socket, &bound.n_socket), 0);
	cr_expect_neq(address_port(&bound), 0);
	cr_expect_eq(inet_bind(second, &bound), -EADDRINUSE);
	close(first);
	cr_expect_eq(inet_bind(second, &bound), 0);
	close(second);
}

Test(inet_bind, what_is_no_socket_is_refused)
{
	struct address a = address_of("127.0.0.1:0");
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_expect_eq(inet_bind(fds[0], &a), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
}
