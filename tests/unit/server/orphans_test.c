/* orphans_test.c: strangers are waited for, ours are left to their owners. */
#include "orphans.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that has ended. */
static pid_t ended(int status)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(status);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static bool is_ours(void *data, pid_t pid)
{
	return pid == *(pid_t *)data;
}

Test(orphans, no_children)
{
	pid_t ours = -1;

	cr_assert_not(orphans_reap(is_ours, &ours));
}

Test(orphans, strangers_go_and_ours_stay)
{
	pid_t ours = -1;
	int status;

	ended(1);
	ours = ended(7);
	ended(2);
	ended(3);
	/* Whatever the order is in which the kernel tells: behind ours there may be more. */
	cr_assert(orphans_reap(is_ours, &ours));
	cr_assert_eq(waitpid(ours, &status, 0), ours);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	cr_assert_not(orphans_reap(is_ours, &ours));
	cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

Test(orphans, who_lives_is_left_alone)
{
	pid_t ours = -1;
	int fds[2];
	pid_t pid;
	char byte;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) == 0 ? 5 : 6);
	}
	cr_assert_not(orphans_reap(is_ours, &ours));
	close(fds[1]);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(fds[0]);
}
