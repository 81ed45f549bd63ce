#include "fake_inmate.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int fake_inmate(int (*enter)(void *arg), int (*attempt)(void *arg), void *arg)
{
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(enter(arg) ? INMATE_FAILED : attempt(arg));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : INMATE_FAILED;
}

pid_t fake_bystander(void)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

void fake_bystander_end(pid_t pid)
{
	int status;

	cr_assert_eq(waitpid(pid, &status, WNOHANG), 0, "it was ended by somebody else");
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
}
