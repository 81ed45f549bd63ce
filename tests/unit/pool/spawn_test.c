/* spawn_test.c: programs that cannot be executed; what a started one finds is in worker_test.c. */
#include "pool/spawn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/failalloc.h"

static int start(const char *program, pid_t *pid, int *pidfd)
{
	const char *const argv[] = {program, NULL};
	const struct spawn_options o = {.argv = argv, .device = "cuda:0", .channel_fd = 0};

	return spawn(&o, pid, pidfd);
}

Test(spawn, says_why_it_cannot)
{
	unsigned fds = failalloc_open_fds();
	sigset_t before;
	sigset_t after;
	int pidfd = -7;
	pid_t pid = -7;

	sigprocmask(SIG_SETMASK, NULL, &before);
	cr_assert_eq(start("/nowhere", &pid, &pidfd), -ENOENT);
	cr_assert_eq(start("/", &pid, &pidfd), -EACCES);
	cr_assert_eq(start("/etc/passwd", &pid, &pidfd), -EACCES);
	cr_assert_eq(pid, -7);
	cr_assert_eq(pidfd, -7);
	cr_assert_eq(failalloc_open_fds(), fds);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	sigprocmask(SIG_SETMASK, NULL, &after);
	cr_assert_eq(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

Test(spawn, starts_a_program)
{
	int status;
	int pidfd;
	pid_t pid;

	cr_assert_eq(start("/bin/false", &pid, &pidfd), 0);
	cr_assert(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 1);
	close(pidfd);
}

/* `cat` of standard input: a directory fails, /dev/null does not. */
static int cat_with_low_descriptors_free(void)
{
	const char *const argv[] = {"/bin/cat", NULL};
	struct spawn_options o = {.argv = argv, .device = "cpu:0"};
	int status = -1;
	int pidfd;
	pid_t pid;

	o.channel_fd = fcntl(open("/", O_RDONLY | O_CLOEXEC), F_DUPFD_CLOEXEC, 10);
	close(3);
	close(4);
	if (spawn(&o, &pid, &pidfd))
		return -1;
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

Test(spawn, standard_input_is_empty_whatever_is_free)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(cat_with_low_descriptors_free() == 0 ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

static bool hide_devices(void)
{
	return !unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("none", "/dev", "tmpfs", 0, NULL) && access("/dev/null", F_OK);
}

#define HIDES_NOTHING 77

/* As in a root of its own that nobody has put any devices into. */
Test(spawn, standard_input_is_empty_without_devices)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(!hide_devices() ? HIDES_NOTHING : cat_with_low_descriptors_free() != 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == HIDES_NOTHING)
		cr_skip_test("no mounts of its own here");
	cr_assert_eq(status, 0);
}

/* Which of the descriptors from 4 on a program finds, as an exit status: a bit each. */
static int find_descriptors(int handoff_fd)
{
	static const char script[] =
		"n=0; [ -e /proc/self/fd/4 ] && n=1; [ -e /proc/$$/fd/5 ] && n=$((n + 2)); "
		"exit $n";
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const struct spawn_options o = {
		.argv = argv, .device = "cpu:0", .channel_fd = 0, .handoff_fd = handoff_fd};
	int status = -1;
	int pidfd;
	pid_t pid;

	cr_assert_eq(spawn(&o, &pid, &pidfd), 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	close(pidfd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(spawn, a_second_descriptor_where_there_is_one)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_gt(fd, 0);
	cr_assert_eq(find_descriptors(0), 0);
	cr_assert_eq(find_descriptors(fd), 1);
	close(fd);
}

static int start_once(void *arg)
{
	int pidfd;
	pid_t pid;
	int r = start("/bin/true", &pid, &pidfd);

	if (r)
		return r;
	waitpid(pid, NULL, 0);
	close(pidfd);
	return 0;
}

/* Not even root has to be able to raise it. */
Test(spawn, a_limit_of_no_cores_is_no_hindrance)
{
	const struct rlimit none = {0};
	int pidfd;
	pid_t pid;

	cr_assert_eq(setrlimit(RLIMIT_CORE, &none), 0);
	cr_assert(geteuid() != 0 || !setuid(65534));
	cr_assert_eq(start("/bin/true", &pid, &pidfd), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	close(pidfd);
}

/* who: "self", or a number. */
static int oom_adj_of(const char *who)
{
	char path[64], text[16] = "";
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%s/oom_score_adj", who);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = (int)read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? (int)strtol(text, NULL, 10) : -2000;
}

static int start_and_look(void)
{
	static const char *const argv[] = {"/bin/sleep", "1000", NULL};
	const struct spawn_options o = {.argv = argv, .device = "cpu:0", .channel_fd = 0};
	int wanted = oom_adj_of("self") + SPAWN_OOM_ADJ, got, pidfd;
	char who[16];
	pid_t pid;

	if (spawn(&o, &pid, &pidfd))
		return 1;
	snprintf(who, sizeof(who), "%d", (int)pid);
	got = oom_adj_of(who);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
	return got == (wanted < 1000 ? wanted : 1000) ? 0 : 2;
}

/* As a daemon is that is not root. */
static int start_where_nobody_may_look(void)
{
	int r = 0;

	if ((geteuid() == 0 && setuid(65534)) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return 3;
	for (int i = 0; !r && i < 10; i++)
		r = start_and_look();
	return r;
}

Test(spawn, it_goes_first_when_memory_is_short_whoever_may_look_into_its_parent)
{
	int status;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit(start_where_nobody_may_look());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%x", status);
}

/* --- A program that is quicker than we are ---------------------------------------------------- */

static unsigned n_yields;

/* In place of the system's: it gives everybody else time. */
int sched_yield(void)
{
	n_yields++;
	return poll(NULL, 0, 1);
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = creat(to, 0755);

	cr_assert_gt(in, 0);
	cr_assert_gt(out, 0);
	while (sendfile(out, in, NULL, 1 << 20) > 0)
		continue;
	close(in);
	close(out);
}

/* As a daemon does that is not root, whose memory nobody may look at. Returns how often it gave others time. */
static unsigned start_what_is_undumpable(const char *program)
{
	const char *const argv[] = {program, "1000", NULL};
	const struct spawn_options o = {.argv = argv, .device = "cpu:0", .channel_fd = 0};
	int pidfd;
	pid_t pid;

	if (setuid(65534) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || spawn(&o, &pid, &pidfd))
		return 255;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return n_yields < 254 ? n_yields : 254;
}

/* Its memory is that of a program of another user's: never dumpable. */
Test(spawn, a_program_that_nobody_may_look_at_is_not_waited_for)
{
	char directory[] = "/tmp/spawn-XXXXXX", program[64];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	cr_assert(mkdtemp(directory));
	snprintf(program, sizeof(program), "%s/sleep", directory);
	copy_file("/bin/sleep", program);
	cr_assert_eq(chmod(directory, 0755), 0);
	cr_assert(!chown(program, 65533, 65533) && !chmod(program, 04755));
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		_exit((int)start_what_is_undumpable(program));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	unlink(program);
	rmdir(directory);
	cr_assert(WIFEXITED(status));
	cr_expect_leq(WEXITSTATUS(status), 100);
}

Test(spawn, survives_faults)
{
	FAULT_LOOP(start_once, NULL);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}
