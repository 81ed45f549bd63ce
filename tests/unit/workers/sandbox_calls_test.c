/* sandbox_calls_test.c: what is refused from inside, call by call. */
#include "workers/sandbox_calls.c"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "fake_inmate.h"

struct attempt {
	struct sandbox_options options;
	bool guard_signals;
	pid_t bystander;
};

static int enter(void *arg)
{
	const struct attempt *a = arg;

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       sandbox_calls_restrict(&a->options, a->guard_signals);
}

static int refused_with(long result)
{
	return result == -1 ? errno : 0;
}

static int call(uint32_t number)
{
	return refused_with(syscall(number, 0, 0, 0, 0, 0, 0));
}

static void skip_without_seccomp(void)
{
	if (sandbox_calls_known())
		cr_skip_test("no seccomp filters here");
}

#define TRY(attempt_fn, ...)                                                                       \
	({                                                                                         \
		struct attempt _a = {__VA_ARGS__};                                                 \
		fake_inmate(enter, attempt_fn, &_a);                                               \
	})

/* The first one is harmless, should nothing be refused. */
static int try_all_refused(void *arg)
{
	if (call(SYS_kcmp) != EPERM)
		return SYS_kcmp % 254 + 1;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (call(refused[i]) != EPERM)
			return (int)(refused[i] % 254 + 1);
	}
	return 0;
}

Test(sandbox_calls, refuses_its_table_in_every_mode)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_all_refused, .options.mode = SANDBOX_ON), 0);
	cr_assert_eq(TRY(try_all_refused, .options.mode = SANDBOX_RELAXED), 0);
	cr_assert_eq(TRY(try_all_refused, .options = {.mode = SANDBOX_ON, .gpu = true}), 0);
}

static int try_execve(void *arg)
{
	return call(SYS_execve);
}

static int try_execveat(void *arg)
{
	return call(SYS_execveat);
}

static int try_socket(void *arg)
{
	return refused_with(syscall(SYS_socket, 1 /* AF_UNIX */, 1 /* SOCK_STREAM */, 0));
}

Test(sandbox_calls, programs_and_sockets_are_for_those_who_need_them)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_execve, .options.mode = SANDBOX_ON), EPERM);
	cr_assert_eq(TRY(try_execveat, .options.mode = SANDBOX_ON), EPERM);
	cr_assert_eq(TRY(try_socket, .options.mode = SANDBOX_ON), EPERM);
	cr_assert_eq(TRY(try_socket, .options = {.mode = SANDBOX_ON, .executes = true}), EPERM);
	cr_assert_eq(TRY(try_execve, .options = {.mode = SANDBOX_ON, .executes = true}), EFAULT);
	cr_assert_eq(TRY(try_execve, .options.mode = SANDBOX_RELAXED), EFAULT);
	cr_assert_eq(TRY(try_socket, .options.mode = SANDBOX_RELAXED), 0);
	cr_assert_eq(TRY(try_socket, .options = {.mode = SANDBOX_ON, .gpu = true}), 0);
}

static int try_all_marking(void *arg)
{
	for (size_t i = 0; i < sizeof(marking) / sizeof(marking[0]); i++) {
		if (call(marking[i]) != EPERM)
			return (int)(marking[i] % 254 + 1);
	}
	return refused_with(syscall(SYS_fchmod, -1, 0644)) == EPERM &&
			       refused_with(syscall(SYS_fchmod, -1, MEMORY_MODE)) == EBADF
		       ? 0
		       : -1;
}

static int try_chmod(void *arg)
{
	return refused_with(syscall(SYS_fchmodat, -1, "", 0600, 0));
}

Test(sandbox_calls, who_writes_no_files_does_not_mark_them)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_all_marking, .options.mode = SANDBOX_ON), 0);
	cr_assert_eq(TRY(try_all_marking, .options = {.mode = SANDBOX_ON, .write = ""}), 0);
	cr_assert_eq(TRY(try_chmod, .options = {.mode = SANDBOX_ON, .write = "/tmp\n"}), ENOENT);
	cr_assert_eq(TRY(try_chmod, .options.mode = SANDBOX_RELAXED), ENOENT);
}

static int try_ptrace(void *arg)
{
	return refused_with(syscall(SYS_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0));
}

Test(sandbox_calls, nobody_traces)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_ptrace, .options.mode = SANDBOX_RELAXED), TRACES_ITSELF ? 0 : EPERM);
}

static int try_unknown(void *arg)
{
	return call(FIRST_UNKNOWN);
}

static int try_another_interface(void *arg)
{
	return call(0x40000000u | SYS_getppid);
}

static int try_clone3(void *arg)
{
	return call(SYS_clone3);
}

Test(sandbox_calls, what_is_not_known_does_not_exist)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_unknown, .options.mode = SANDBOX_RELAXED), ENOSYS);
	cr_assert_eq(TRY(try_another_interface, .options.mode = SANDBOX_RELAXED), ENOSYS);
	cr_assert_eq(TRY(try_clone3, .options.mode = SANDBOX_RELAXED), ENOSYS);
}

static int try_namespace(void *arg)
{
	return refused_with(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int try_terminal(void *arg)
{
	return refused_with(ioctl(-1, TIOCSTI, "x"));
}

static int try_other_ioctl(void *arg)
{
	return refused_with(ioctl(-1, FIONREAD, arg));
}

Test(sandbox_calls, some_are_refused_by_an_argument)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_namespace, .options.mode = SANDBOX_RELAXED), EPERM);
	cr_assert_eq(TRY(try_terminal, .options.mode = SANDBOX_RELAXED), EPERM);
	cr_assert_eq(TRY(try_other_ioctl, .options.mode = SANDBOX_RELAXED), EBADF);
}

static void *run_thread(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

/* What every worker does: threads, a child, signals to itself. */
static int try_ordinary(void *arg)
{
	pthread_t thread;
	int ran = 0;
	pid_t pid;
	int status;

	if (pthread_create(&thread, NULL, run_thread, &ran) || pthread_join(thread, NULL) || !ran)
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(7);
	if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
		return 2;
	return kill(getpid(), 0) || kill(0, 0) || pthread_kill(pthread_self(), 0) ? 3 : 0;
}

Test(sandbox_calls, ordinary_work_goes_on)
{
	skip_without_seccomp();
	cr_assert_eq(TRY(try_ordinary, .options.mode = SANDBOX_ON, .guard_signals = true), 0);
	cr_assert_eq(TRY(try_ordinary, .options.mode = SANDBOX_ON), 0);
}

static int try_kill(void *arg)
{
	return refused_with(kill(((struct attempt *)arg)->bystander, SIGKILL));
}

static int try_kill_group(void *arg)
{
	return refused_with(kill(-((struct attempt *)arg)->bystander, SIGKILL));
}

static int try_kill_thread(void *arg)
{
	pid_t pid = ((struct attempt *)arg)->bystander;

	if (refused_with(syscall(SYS_tkill, pid, SIGKILL)) != EPERM)
		return 1;
	return refused_with(syscall(SYS_tgkill, pid, pid, SIGKILL));
}

static int try_queue(void *arg)
{
	pid_t pid = ((struct attempt *)arg)->bystander;
	siginfo_t info = {.si_code = SI_QUEUE};

	return refused_with(syscall(SYS_rt_sigqueueinfo, pid, SIGKILL, &info));
}

Test(sandbox_calls, signals_reach_nobody_else_where_files_do_not_keep_them)
{
	pid_t pid;

	skip_without_seccomp();
	pid = fake_bystander();
	for (int mode = SANDBOX_RELAXED; mode <= SANDBOX_ON; mode++) {
		struct attempt a = {{.mode = (enum sandbox_mode)mode}, true, pid};

		cr_assert_eq(fake_inmate(enter, try_kill, &a), EPERM);
		cr_assert_eq(fake_inmate(enter, try_kill_group, &a), EPERM);
		cr_assert_eq(fake_inmate(enter, try_kill_thread, &a), EPERM);
		cr_assert_eq(fake_inmate(enter, try_queue, &a), EPERM);
	}
	fake_bystander_end(pid);
}
