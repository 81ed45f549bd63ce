/* Tests of notify.c against a socket of the test's own. */
#include "notify.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

static int fd = -1;
static char directory[] = "/tmp/modeld-test-XXXXXX";
static char path[64];

static void setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/notify", directory);
}

static void teardown(void)
{
	if (fd >= 0)
		close(fd);
	unlink(path);
	rmdir(directory);
}

TestSuite(notify, .init = setup, .fini = teardown);

static void listen_on(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	memcpy(a.sun_path, name, strlen(name));
	if (*name == '@')
		a.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert(fd >= 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&a, n), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void came(const char *expected)
{
	char got[256] = "";
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	cr_assert(n >= 0);
	cr_expect_str_eq(got, expected);
}

Test(notify, without_a_socket_nothing_happens)
{
	unsetenv("NOTIFY_SOCKET");
	cr_expect_eq(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	cr_expect_eq(notify_send("READY=1"), 0);
}

Test(notify, one_datagram)
{
	unsigned before;

	listen_on(path);
	before = failalloc_open_fds();
	cr_expect_eq(notify_send("READY=1\nSTATUS=serving"), 0);
	came("READY=1\nSTATUS=serving");
	cr_expect_eq(failalloc_open_fds(), before);
}

Test(notify, an_abstract_socket)
{
	char name[64];

	snprintf(name, sizeof(name), "@modeld-notify-test-%d", getpid());
	listen_on(name);
	cr_expect_eq(notify_send("READY=1"), 0);
	came("READY=1");
}

Test(notify, nobody_listens)
{
	setenv("NOTIFY_SOCKET", path, 1);
	cr_expect_eq(notify_send("READY=1"), -ENOENT);
}

Test(notify, an_address_that_is_none)
{
	char name[200];

	setenv("NOTIFY_SOCKET", "relative", 1);
	cr_expect_eq(notify_send("READY=1"), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = 0;
	setenv("NOTIFY_SOCKET", name, 1);
	cr_expect_eq(notify_send("READY=1"), -EINVAL);
}

Test(notify, a_full_socket_is_not_waited_for)
{
	int r = 0;

	listen_on(path);
	for (int i = 0; i < 100000 && !r; i++)
		r = notify_send("WATCHDOG=1");
	cr_expect_eq(r, -EAGAIN);
}
