/* process_test.c: the end of a child, seen through the loop. */
#include "pool/process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct process_exit exit;
	int n;
};

static void on_exit_seen(void *data, const struct process_exit *e)
{
	struct seen *s = data;

	s->exit = *e;
	s->n++;
}

/* A child that ends with `status`, or hangs when it is negative. */
static pid_t child(int status)
{
	pid_t pid = fork();

	if (pid > 0)
		return pid;
	while (status < 0)
		pause();
	_exit(status);
}

static struct process_exit watch(pid_t pid, bool kill_it)
{
	struct seen s = {0};
	struct process *p;
	uv_loop_t loop;

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(process_new(&p, &loop, pid, pidfd_open(pid, 0), on_exit_seen, &s), 0);
	cr_assert_eq(process_pid(p), pid);
	if (kill_it)
		process_kill(p);
	while (s.n == 0)
		uv_run(&loop, UV_RUN_ONCE);
	process_kill(p); /* harmless */
	process_close(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
	cr_assert_eq(s.n, 1);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	return s.exit;
}

static void says(struct process_exit e, const char *text)
{
	char out[64];

	cr_assert_str_eq(process_exit_format(&e, out, sizeof(out)), text);
}

Test(process, its_end_can_be_seen_ahead_of_the_loop)
{
	struct process_exit e = {0};
	struct seen s = {0};
	siginfo_t info;
	struct process *p;
	uv_loop_t loop;
	pid_t pid = child(-1);

	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(process_new(&p, &loop, pid, pidfd_open(pid, 0), on_exit_seen, &s), 0);
	cr_expect_not(process_peek(p, &e), "it runs");
	process_kill(p);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_expect(process_peek(p, &e));
	says(e, "signal 9 (Killed)");
	cr_expect_eq(s.n, 0);
	while (s.n == 0)
		uv_run(&loop, UV_RUN_ONCE);
	says(s.exit, "signal 9 (Killed)");
	cr_expect_not(process_peek(p, &e), "it was reported");
	process_close(p);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(process, exit_status)
{
	says(watch(child(78), false), "exit status 78");
}

Test(process, kill)
{
	says(watch(child(-1), true), "signal 9 (Killed)");
}

/* The kernel takes the status, and the process is gone at once: the child must not end before its
 * descriptor is there, which process_kill() is the first to be after. */
Test(process, somebody_else_took_the_status)
{
	signal(SIGCHLD, SIG_IGN);
	says(watch(child(-1), true), "exit status unknown");
}

/* A leader that has ended, or hangs, and a child of its that holds a pipe open until it is killed. */
static pid_t family(int fds[2], bool hangs)
{
	pid_t pid;
	char byte;

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (fork() == 0) {
			cr_assert_eq(write(fds[1], "x", 1), 1);
			while (true)
				pause();
		}
		while (hangs)
			pause();
		_exit(0);
	}
	cr_assert_eq(read(fds[0], &byte, 1), 1);
	close(fds[1]);
	return pid;
}

Test(process, what_a_child_started_ends_with_it, .timeout = 30)
{
	int fds[2];
	char byte;

	says(watch(family(fds, false), false), "exit status 0");
	cr_assert_eq(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	says(watch(family(fds, true), true), "signal 9 (Killed)");
	cr_assert_eq(read(fds[0], &byte, 1), 0);
	close(fds[0]);
}

Test(process, without_a_loop_the_child_is_ended)
{
	struct process *p = NULL;
	uv_loop_t loop;
	pid_t pid = child(-1);

	cr_assert_eq(uv_loop_init(&loop), 0);
	/* A descriptor that cannot be watched. */
	cr_assert_lt(process_new(&p, &loop, pid, open("/etc/passwd", O_RDONLY), NULL, NULL), 0);
	cr_assert_null(p);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
	uv_loop_close(&loop);
}
