/* doors_test.c: what the service manager is given, and when; what listens is a double's (fake_below.c). */
#include "doors.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/given_sockets.h"
#include "fake_below.h"
#include "server.h"

static struct given_sockets given;
static struct config config;
static struct doors doors;

static void begin(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	unsetenv("NOTIFY_SOCKET");
	memset(&below, 0, sizeof(below));
	given = (struct given_sockets){.fds = {dup(STDIN_FILENO)}, .n = 1};
	config = (struct config){.given = &given};
	doors = (struct doors){.config = &config};
}

TestSuite(doors, .init = begin);

Test(doors, what_was_given_in_vain_is_closed)
{
	cr_expect_eq(doors_open(&doors), 0);
	cr_expect_eq(given.n, 0);
}

Test(doors, nobody_can_come)
{
	below.listen_error = -EADDRINUSE;
	cr_expect_eq(doors_open(&doors), SERVER_EXIT_OS);
	below.listen_error = -EINVAL;
	cr_expect_eq(doors_open(&doors), SERVER_EXIT_CONFIG);
	below.listen_error = 0;
	below.handoff_listen_error = -EACCES;
	cr_expect_eq(doors_open(&doors), SERVER_EXIT_OS);
}

Test(doors, files_go_over)
{
	doors_let_go(&doors);
	doors_take_over(&doors);
	cr_expect(strstr(below.trace, "let_go"), "%s", below.trace);
	cr_expect(strstr(below.trace, "take_over"), "%s", below.trace);
}

/* The manager of a service, as far as it hears. */
static int manager(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[64];
	int n = snprintf(name, sizeof(name), "@doors-test-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, name, (size_t)n);
	a.sun_path[0] = 0;
	cr_assert_eq(bind(fd, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* Returns how many descriptors came with it; -1: no message. */
static int hear(int fd, char *text, size_t cap)
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = {text, cap - 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, 0);

	if (n < 0)
		return -1;
	text[n] = 0;
	return CMSG_FIRSTHDR(&m) ? (int)((CMSG_FIRSTHDR(&m)->cmsg_len - CMSG_LEN(0)) / sizeof(int))
				 : 0;
}

/* Sockets with a path are not kept: the path goes. */
Test(doors, the_manager_keeps_what_listens_on_tcp)
{
	char text[128];
	int fd = manager();

	doors_store(&doors);
	cr_expect_eq(hear(fd, text, sizeof(text)), -1, "it keeps nothing");
	setenv("FDSTORE", "4", 1);
	below.sockets[below.n_sockets++] = socket(AF_INET, SOCK_STREAM, 0);
	below.sockets[below.n_sockets++] = socket(AF_UNIX, SOCK_STREAM, 0);
	doors_store(&doors);
	cr_expect_eq(hear(fd, text, sizeof(text)), 0);
	cr_expect_str_eq(text, "FDSTOREREMOVE=1\nFDNAME=listen");
	cr_expect_eq(hear(fd, text, sizeof(text)), 1);
	cr_expect_str_eq(text, "FDSTORE=1\nFDNAME=listen");
	below.n_sockets = 0;
	doors_store(&doors);
	cr_expect_eq(hear(fd, text, sizeof(text)), 0);
	cr_expect_eq(hear(fd, text, sizeof(text)), -1);
	close(fd);
}
