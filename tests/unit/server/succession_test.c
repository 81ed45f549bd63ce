/* succession_test.c: both sides of the channel, the other one being a shell, or the test. */
#include "succession.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char shell[] = "sh", command[] = "-c", other[] = "x";
static uv_loop_t loop;
static struct succession s;
static pid_t told;
static pid_t failed;
static int alone; /* 1: late, 2: early */

static void on_successor(void *data, pid_t pid)
{
	told = pid;
}

static void on_failure(void *data, pid_t started)
{
	failed = started;
}

static void on_alone(void *data, bool early)
{
	alone = early ? 2 : 1;
}

static const struct succession_events events = {
	.on_successor = on_successor, .on_failure = on_failure, .on_alone = on_alone};

static void begin(void)
{
	unsetenv("MODELD_PREDECESSOR");
	cr_assert_eq(uv_loop_init(&loop), 0);
}

static void end(void)
{
	succession_close(&s);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(succession, .init = begin, .fini = end, .timeout = 120);

/* Without sockets the channel is descriptor 3. */
static int start(const char *script)
{
	char text[256];
	char *argv[] = {shell, command, text, NULL};

	snprintf(text, sizeof(text), "%s", script);
	return succession_begin(&s, "/bin/sh", argv, NULL, 0);
}

Test(succession, without_a_predecessor)
{
	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	cr_expect_not(succession_has_predecessor(&s));
}

Test(succession, the_old_one_hears_and_lets_go)
{
	int status;

	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	/* It waits until the channel is at its end. */
	cr_assert_eq(start("test \"$MODELD_PREDECESSOR\" = 3 && test $LISTEN_FDS = 0 && echo $$ "
			   ">&3 && cat <&3"),
		0);
	cr_expect_not(succession_has_predecessor(&s));
	cr_expect_eq(start("true"), -EBUSY);
	while (!told)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(told, s.successor);
	succession_let_go(&s);
	cr_assert_eq(waitpid(told, &status, 0), told);
	cr_expect_eq(status, 0);
}

Test(succession, one_that_ends_before_is_as_if_it_had_not_been)
{
	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(start(i ? "printf nonsense >&3; cat <&3" : "exit 1"), 0);
		pid_t started = s.successor;

		while (s.successor)
			uv_run(&loop, UV_RUN_ONCE);
		cr_expect_eq(told, 0);
		cr_expect_eq(failed, started);
		cr_assert_eq(waitpid(started, NULL, 0), started);
	}
}

Test(succession, what_cannot_be_started)
{
	char *argv[] = {other, NULL};
	int sockets[SUCCESSION_SOCKETS_MAX + 1] = {0};

	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	cr_expect_eq(succession_begin(&s, "/nonexistent", argv, NULL, 0), -ENOENT);
	cr_expect_eq(succession_begin(&s, "/bin/true", argv, sockets, SUCCESSION_SOCKETS_MAX + 1),
		-EMFILE);
	sockets[0] = -1;
	cr_expect_eq(succession_begin(&s, "/bin/true", argv, sockets, 1), -EBADF);
}

/* Each socket is where sd_listen_fds(3) has it, in order. */
Test(succession, sockets_are_handed_over)
{
	int pair[2], status;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	{
		char script[] = "test $LISTEN_FDS = 1 && test $MODELD_PREDECESSOR = 4 && "
				"printf x >&3 && echo $$ >&4";
		char *argv[] = {shell, command, script, NULL};

		cr_assert_eq(succession_begin(&s, "/bin/sh", argv, &pair[1], 1), 0);
	}
	char byte = 0;

	cr_assert_eq(read(pair[0], &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	while (!told)
		uv_run(&loop, UV_RUN_ONCE);
	cr_assert_eq(waitpid(told, &status, 0), told);
	close(pair[0]);
	close(pair[1]);
}

static int have_predecessor(void)
{
	char text[16];
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(text, sizeof(text), "%d", pair[1]);
	setenv("MODELD_PREDECESSOR", text, 1);
	cr_assert_eq(succession_init(&s, &loop, &events, NULL), 0);
	cr_assert(succession_has_predecessor(&s));
	cr_expect_null(getenv("MODELD_PREDECESSOR"));
	return pair[0];
}

Test(succession, the_new_one_tells_and_is_alone_then)
{
	int fd = have_predecessor();
	char text[16] = "", pid[16];

	succession_tell(&s);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	cr_assert_eq(read(fd, text, sizeof(text) - 1), (ssize_t)strlen(pid));
	cr_expect_str_eq(text, pid);
	cr_expect_eq(alone, 0);
	close(fd);
	while (!alone)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(alone, 1);
	cr_expect_not(succession_has_predecessor(&s));
}

Test(succession, a_predecessor_that_ends_before)
{
	close(have_predecessor());
	while (!alone)
		uv_run(&loop, UV_RUN_ONCE);
	cr_expect_eq(alone, 2);
}

/* Who has a predecessor is not its child: the parent has ended. */
Test(succession, a_successor_is_nobodys_child)
{
	int pair[2], status;
	char byte = 0;
	pid_t pid;

	cr_assert_eq(pipe(pair), 0);
	pid = fork();
	if (pid == 0) {
		setenv("MODELD_PREDECESSOR", "3", 1);
		succession_detach();
		unsetenv("MODELD_PREDECESSOR");
		succession_detach();
		_exit(write(pair[1], "x", 1) == 1 ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_assert_eq(read(pair[0], &byte, 1), 1);
}
