/*
 * probe_child.c: children by fork and exec of this program, and what is said over their channel.
 *
 * A child has two watchdogs: its own alarm, which the kernel keeps across exec, and the asker's
 * deadline, for a child that the driver holds in an uninterruptible call. It dies with the asker.
 * The asker has one thread and has not touched CUDA; the child's side has not, either, before a
 * task's function begins.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/seqpacket.h"
#include "tests/gpu/probe.h"

#define FIRST_OTHER	5
#define GRACE_NS	(10 * NS_PER_S)
#define EXIT_NO_PROGRAM 127

struct answer {
	const char *name;
	void (*run)(const struct task *task);
};

static const struct answer answers[] = {
	{"attributes", answer_attributes},
	{"register", answer_register},
	{"law", answer_law},
	{"seal", answer_seal},
	{"seal-control", answer_seal_control},
	{"copy", answer_copy},
	{"contention", answer_contention},
	{"fault", answer_fault},
	{"restart", answer_restart},
	{"export", answer_export},
	{"import", answer_import},
	{"context", answer_context},
	{"watch", answer_watch},
	{"nvml", answer_nvml},
	{"self-test", answer_self_test},
};

/* --- The asker's side ----------------------------------------------------------------------- */

/* Between fork and exec: async-signal-safe calls only. */
static void become(int channel, int memory, pid_t parent, unsigned limit_s)
{
	static char program[] = "/proc/self/exe";
	char *argv[] = {program, (char[]){"--child"}, NULL};

	/* They may be 3 or 4 themselves. */
	channel = fcntl(channel, F_DUPFD_CLOEXEC, FIRST_OTHER);
	memory = memory < 0 ? -1 : fcntl(memory, F_DUPFD_CLOEXEC, FIRST_OTHER);
	alarm(limit_s);
	if (channel < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_NO_PROGRAM);
	if (dup2(channel, CHANNEL_FD) < 0 || (memory >= 0 && dup2(memory, MEMORY_FD) < 0))
		_exit(EXIT_NO_PROGRAM);
	execve(program, argv, environ);
	_exit(EXIT_NO_PROGRAM);
}

static int start(struct child *c, const struct task *task, int memory_fd)
{
	pid_t parent = getpid();
	int ends[2];
	int r = seqpacket_pair(ends);

	if (r)
		return r;
	c->channel = ends[0];
	c->pid = fork();
	if (c->pid == 0)
		become(ends[1], memory_fd, parent, task->limit_s);
	r = c->pid < 0 ? -errno : 0;
	close_fd(&ends[1]);
	if (r)
		return r;
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		return -errno;
	return seqpacket_send(c->channel, task, sizeof(*task), NULL, 0, 0);
}

void child_start(struct child *c, struct table *t, struct task *task, int memory_fd)
{
	int r;

	*c = (struct child){.channel = -1, .pidfd = -1};
	snprintf(c->label, sizeof(c->label), "%s", task->label);
	task->spawn_ns = clock_ns();
	c->deadline_ns = task->spawn_ns + task->limit_s * NS_PER_S + GRACE_NS;
	r = start(c, task, memory_fd);
	if (r)
		table_text(t, task->label, err_str(r));
}

/* Ready before the deadline? */
static bool await(int fd, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, (int)clock_ms_until(clock_ns(), deadline_ns));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* The next row, false at the end of what the child has to say. */
static bool next_row(struct child *c, struct row *row, int *ret_fd)
{
	size_t n = 0;
	size_t n_fds = 0;
	int fd = -1;

	if (c->channel < 0 || !await(c->channel, c->deadline_ns) ||
		seqpacket_recv(c->channel, row, sizeof(*row), &n, &fd, 1, &n_fds, 1) ||
		n != sizeof(*row)) {
		close_fd(&fd);
		return false;
	}
	if (ret_fd)
		*ret_fd = n_fds ? steal_fd(&fd) : -1;
	close_fd(&fd);
	return true;
}

bool child_mark(
	struct child *c, struct table *t, const char *what, struct row *ret_mark, int *ret_fd)
{
	while (next_row(c, ret_mark, ret_fd)) {
		if (ret_mark->kind == ROW_MARK && !strcmp(ret_mark->what, what))
			return true;
		table_row(t, ret_mark);
	}
	return false;
}

void child_go(struct child *c, int fd)
{
	/* A child that has ended is found by child_end(). */
	if (c->channel >= 0 && seqpacket_send(c->channel, "go", 2, &fd, fd >= 0, 1))
		close_fd(&c->channel);
}

static void judge(struct child *c, struct table *t, int status)
{
	char text[64];

	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM)
		table_text(t, c->label, "the program could not be executed again");
	if (!WIFSIGNALED(status))
		return;
	snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	table_text(t, c->label, WTERMSIG(status) == SIGALRM ? "timed out" : text);
}

static void reap(struct child *c, struct table *t)
{
	int status;

	if (!await(c->pidfd, c->deadline_ns)) {
		kill(c->pid, SIGKILL);
		if (!await(c->pidfd, clock_ns() + GRACE_NS)) {
			table_text(t, c->label, "timed out, and cannot be killed");
			return;
		}
	}
	c->reaped_ns = clock_ns();
	if (waitpid(c->pid, &status, 0) == c->pid)
		judge(c, t, status);
}

void child_end(struct child *c, struct table *t)
{
	struct row row;

	while (next_row(c, &row, NULL))
		table_row(t, &row);
	if (c->pid > 0 && c->pidfd >= 0)
		reap(c, t);
	close_fd(&c->channel);
	close_fd(&c->pidfd);
}

void child_ask(struct table *t, struct task *task, int memory_fd)
{
	struct child c;

	child_start(&c, t, task, memory_fd);
	child_end(&c, t);
}

bool child_ask_mark(struct table *t, struct task *task, const char *what, struct row *ret_mark)
{
	struct child c;
	bool found;

	child_start(&c, t, task, -1);
	found = child_mark(&c, t, what, ret_mark, NULL);
	child_end(&c, t);
	return found;
}

/* --- The child's side ----------------------------------------------------------------------- */

static void send_row(struct row *row, const char *what, int fd)
{
	snprintf(row->what, sizeof(row->what), "%s", what);
	/* Nobody is left to hear it: nothing is left to do. */
	if (seqpacket_send(CHANNEL_FD, row, sizeof(*row), &fd, fd >= 0, 0))
		_exit(1);
}

void report_value(const char *what, double value, const char *unit, const char *note)
{
	struct row row = {.kind = ROW_VALUE, .value = value};

	snprintf(row.unit, sizeof(row.unit), "%s", unit);
	snprintf(row.note, sizeof(row.note), "%s", note ? note : "");
	send_row(&row, what, -1);
}

void report_text(const char *what, const char *text, const char *note)
{
	struct row row = {.kind = ROW_TEXT};

	snprintf(row.text, sizeof(row.text), "%s", text);
	snprintf(row.note, sizeof(row.note), "%s", note ? note : "");
	send_row(&row, what, -1);
}

void report_refused(const char *what, const char *error)
{
	struct row row = {.kind = ROW_REFUSED};

	snprintf(row.text, sizeof(row.text), "%s", error);
	send_row(&row, what, -1);
}

void report_errno(const char *what, int error)
{
	report_refused(what, err_str(error));
}

void report_bad(const char *what, uint64_t offset)
{
	struct row row = {.kind = ROW_BAD};

	snprintf(row.text, sizeof(row.text), "from byte %ju on", (uintmax_t)offset);
	send_row(&row, what, -1);
}

void report_mark(const char *what, double value, uint64_t at_ns, int fd)
{
	struct row row = {.kind = ROW_MARK, .value = value, .at_ns = at_ns};

	send_row(&row, what, fd);
}

void wait_go(int *ret_fd)
{
	char word[8];
	size_t n;
	size_t n_fds = 0;
	int fd = -1;

	if (seqpacket_recv(CHANNEL_FD, word, sizeof(word), &n, &fd, 1, &n_fds, 0))
		_exit(1);
	if (ret_fd)
		*ret_fd = n_fds ? steal_fd(&fd) : -1;
	close_fd(&fd);
}

const char *labelled(char *to, size_t cap, const struct task *task, const char *what)
{
	snprintf(to, cap, "%s%s%s", task->label, *what ? ": " : "", what);
	return to;
}

int child_main(void)
{
	struct task task;
	size_t n;
	int r = seqpacket_recv(CHANNEL_FD, &task, sizeof(task), &n, NULL, 0, NULL, 0);

	if (r || n != sizeof(task))
		return 1;
	task.name[sizeof(task.name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (strcmp(answers[i].name, task.name) != 0)
			continue;
		answers[i].run(&task);
		return 0;
	}
	return 1;
}
