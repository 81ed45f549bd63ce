/*
 * spawn.c: fork and exec of a worker.
 *
 * The child is made by clone(CLONE_VM | CLONE_VFORK): it runs in our memory, on a stack of its own,
 * while the calling thread sleeps, until it executes the program or ends. So the cost does not grow
 * with the daemon's memory, and an error of the child is simply left in struct child; no pipe is
 * needed. All signals are blocked meanwhile, so that no handler of ours can run in the child. The
 * child calls only async-signal-safe functions and writes nothing but struct child and its stack.
 *
 * Daemon process, loop thread (PR_SET_PDEATHSIG goes by the thread that calls).
 */
#include "pool/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/signals.h"
#include "pool/environment.h"

#define CHANNEL_FD  3
#define HANDOFF_FD  4
#define FIRST_OTHER 5
#define STACK_BYTES ((size_t)64 * 1024)
/* More than the kernel needs between the two, unless the machine is busy with much else. */
#define DUMPABLE_NS (100 * NS_PER_MS)
#define NAME_BYTES  16u /* of a thread's name, with the NUL */

struct child {
	const struct spawn_options *options; /* borrow */
	char *const *env;		     /* borrow */
	pid_t parent;
	char oom_adj[16]; /* "500\n"; "": what it inherits */
	int error;	  /* written by the child: why it ended, as -errno */
};

static void reset_signals(void)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = SIG_DFL;
	/* Some numbers cannot be set; those need not be. */
	for (int i = 1; i < NSIG; i++)
		sigaction(i, &act, NULL);
}

/* A core of a worker holds other people's tensors, and all of its arenas. A limit of 1 is what also keeps a
 * program that core_pattern names from getting it (core(5); fs/coredump.c of Linux). */
static int forbid_core(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit))
		return -errno;
	limit.rlim_max = limit.rlim_max > 0 ? 1 : 0;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_CORE, &limit) ? -errno : 0;
}

/* Before it uses memory that should count. */
static int enter_group(int fd)
{
	if (fd > 0 && write(fd, "0", 1) < 0)
		return -errno;
	return 0;
}

static int limit_data(uint64_t bytes)
{
	struct rlimit limit;

	if (bytes == 0)
		return 0;
	if (getrlimit(RLIMIT_DATA, &limit))
		return -errno;
	if (limit.rlim_max > bytes)
		limit.rlim_max = bytes;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_DATA, &limit) ? -errno : 0;
}

/* The kernel gives it the program's name in place of ours (begin_new_exec() of Linux), right behind making its memory dumpable. */
static bool has_executed(pid_t pid)
{
	char path[32], name[NAME_BYTES + 1] = "", ours[NAME_BYTES + 1] = "";
	_cleanup_(close_fd) int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, name, NAME_BYTES) <= 0 || prctl(PR_GET_NAME, ours))
		return false;
	name[strcspn(name, "\n")] = '\0';
	return strcmp(name, ours) != 0;
}

/* Until the child has executed its program it shares our memory, and where that is not dumpable its files in /proc are root's,
 * or hidden. We go on as soon as it has memory of its own, shortly before the kernel makes that dumpable: so more than once. But
 * a worker makes itself undumpable as soon as it can: where it was the quicker one there is nothing to wait for. */
static int open_oom_adj(pid_t pid)
{
	uint64_t end_ns = clock_ns() + DUMPABLE_NS;
	bool executed = false;
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	while (fd < 0 && (errno == EACCES || errno == ENOENT) && !executed && clock_ns() < end_ns) {
		executed = has_executed(pid);
		if (!executed)
			sched_yield();
		fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	return fd;
}

/* Where there is no /proc the kernel chooses by size alone, as it does where a program may be executed but not read, which
 * is never dumpable: neither is waited for. */
static void set_oom_adj(const char *text, const char *program, pid_t pid)
{
	bool waits = *text && access("/proc/self/oom_score_adj", F_OK) == 0 &&
		     access(program, R_OK) == 0;
	int fd = waits ? open_oom_adj(pid) : -1;

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0;
	close(fd);
}

/* Where there is no /dev/null (a root of its own need not have one): a pipe that nobody writes to. An error that named a
 * file would be taken for the program's. */
static int open_empty(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int ends[2];

	if (fd >= 0 || pipe2(ends, O_CLOEXEC))
		return fd;
	close(ends[1]);
	return ends[0];
}

/* All are moved out of the way first: they may be one of those that the worker gets themselves. */
static int place_descriptors(const struct spawn_options *o)
{
	int channel = fcntl(o->channel_fd, F_DUPFD_CLOEXEC, FIRST_OTHER);
	int opened = open_empty();
	int empty = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, FIRST_OTHER);
	int handoff =
		o->handoff_fd > 0 ? fcntl(o->handoff_fd, F_DUPFD_CLOEXEC, FIRST_OTHER) : empty;

	if (channel < 0 || empty < 0 || handoff < 0)
		return -errno;
	if (dup2(channel, CHANNEL_FD) < 0 || dup2(empty, STDIN_FILENO) < 0 ||
		dup2(handoff, HANDOFF_FD) < 0)
		return -errno;
	/* Where standard error is closed there is nothing to join. */
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 && errno != EBADF)
		return -errno;
	return close_range(o->handoff_fd > 0 ? FIRST_OTHER : HANDOFF_FD, ~0u, 0) < 0 ? -errno : 0;
}

static int become_worker(const struct child *c)
{
	sigset_t none;
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* It may have died before prctl(). */
	if (getppid() != c->parent)
		return -ESRCH;
	reset_signals();
	/* A Ctrl-C on the daemon's terminal is for the daemon alone: it drains its workers. */
	if (setpgid(0, 0) < 0)
		return -errno;
	r = enter_group(c->options->group_fd);
	if (!r)
		r = limit_data(c->options->data_bytes);
	if (!r && !c->options->core)
		r = forbid_core();
	if (!r)
		r = place_descriptors(c->options);
	if (r)
		return r;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(c->options->argv[0], (char *const *)c->options->argv, c->env);
	return -errno;
}

static int child_main(void *arg)
{
	struct child *c = arg;

	c->error = become_worker(c);
	return 127;
}

static int clone_child(struct child *c, pid_t *ret_pid, int *ret_pidfd)
{
	_cleanup_(freep) char *stack = malloc(STACK_BYTES);
	char *top;
	sigset_t before;
	int pidfd = -1;
	pid_t pid;
	int r;

	if (!stack)
		return -ENOMEM;
	top = stack + STACK_BYTES;
	top -= (uintptr_t)top % 16;
	signals_block(&before);
	pid = clone(child_main, top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, &pidfd);
	r = pid < 0 ? -errno : 0;
	signals_restore(&before);
	if (r)
		return r;
	if (c->error) {
		waitpid(pid, NULL, 0);
		close_fd(&pidfd);
		return c->error;
	}
	set_oom_adj(c->oom_adj, c->options->argv[0], pid);
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

/* Relative to our own, which somebody may have set. */
static void choose_oom_adj(struct child *c)
{
	_cleanup_(close_fd) int fd = -1;
	char text[16] = "";
	int own;

	fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%d", &own) != 1)
		return;
	own += SPAWN_OOM_ADJ;
	snprintf(c->oom_adj, sizeof(c->oom_adj), "%d\n", own < 1000 ? own : 1000);
}

int spawn(const struct spawn_options *o, pid_t *ret_pid, int *ret_pidfd)
{
	struct child c = {.options = o, .parent = getpid()};
	_cleanup_(freep) char **env = NULL;
	int r = environment_new(&env, o->device, o->environment, o->sandbox);

	if (r)
		return r;
	c.env = env;
	choose_oom_adj(&c);
	return clone_child(&c, ret_pid, ret_pidfd);
}
