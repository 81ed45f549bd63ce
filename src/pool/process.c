/*
 * process.c: a child seen through its pidfd: readable when it has ended. No other child is ever waited
 * for here, and a signal can never reach a stranger that got the same pid.
 *
 * The child leads a process group (pool/spawn.c): what it started ends with it. The group is named by
 * the leader's pid, which nobody else can get before the leader is waited for; so it is killed first.
 *
 * Daemon process, loop thread.
 */
#include "pool/process.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

struct process {
	uv_poll_t poll; /* poll.data: the process */
	pid_t pid;
	int pidfd; /* own */
	bool ended;
	void (*on_exit)(void *data, const struct process_exit *e);
	void *data; /* borrow: on_exit's */
};

/* Nothing to kill is as good, and so is a child that leads no group. */
static void kill_group(pid_t leader)
{
	kill(-leader, SIGKILL);
}

static struct process_exit exit_of(const siginfo_t *info)
{
	return (struct process_exit){
		.known = true, .signaled = info->si_code != CLD_EXITED, .code = info->si_status};
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct process *p = poll->data;
	struct process_exit e = {0};
	siginfo_t info = {0};

	if (!waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT)) {
		if (info.si_pid == 0)
			return;
		kill_group(p->pid);
		waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);
		e = exit_of(&info);
	} else if (errno == EINTR) {
		return;
	}
	p->ended = true;
	uv_poll_stop(&p->poll);
	p->on_exit(p->data, &e);
}

/* It was not waited for yet, so the pid is still its own. */
static void end_child(pid_t pid, int pidfd)
{
	kill_group(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(pidfd);
}

int process_new(struct process **ret_process, uv_loop_t *loop, pid_t pid, int pidfd,
	void (*on_exit)(void *data, const struct process_exit *e), void *data)
{
	struct process *p = calloc(1, sizeof(*p));
	int r = p ? uv_poll_init(loop, &p->poll, pidfd) : -ENOMEM;

	if (r) {
		end_child(pid, pidfd);
		free(p);
		return r;
	}
	p->poll.data = p;
	p->pid = pid;
	p->pidfd = pidfd;
	p->on_exit = on_exit;
	p->data = data;
	/* The only documented failure is a handle that is closing. */
	r = uv_poll_start(&p->poll, UV_READABLE, on_poll);
	assert(r == 0);
	*ret_process = p;
	return 0;
}

bool process_peek(const struct process *p, struct process_exit *ret_exit)
{
	siginfo_t info = {0};

	if (p->ended || waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) ||
		info.si_pid == 0)
		return false;
	*ret_exit = exit_of(&info);
	return true;
}

void process_kill(struct process *p)
{
	/* Gone already is as good. The rest of its group follows when its end is seen. */
	if (!p->ended)
		pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

struct process *process_close(struct process *p)
{
	if (!p)
		return NULL;
	uv_poll_stop(&p->poll);
	close_fd(&p->pidfd);
	uv_close((uv_handle_t *)&p->poll, on_closed);
	return NULL;
}

const char *process_exit_format(const struct process_exit *e, char *out, size_t cap)
{
	if (!e->known)
		snprintf(out, cap, "exit status unknown");
	else if (e->signaled)
		snprintf(out, cap, "signal %d (%s)", e->code, strsignal(e->code));
	else
		snprintf(out, cap, "exit status %d", e->code);
	return out;
}
