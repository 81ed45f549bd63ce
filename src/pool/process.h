/* process.h: a child process watched by the loop through its pidfd, and its end in words. */
#ifndef POOL_PROCESS_H
#define POOL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "base/cleanup.h"

struct process;

/* How it ended. */
struct process_exit {
	bool known;    /* false: somebody else has taken the exit status */
	bool signaled; /* by signal `code`; else exit status `code` */
	int code;
};

/*
 * Watch a child. Takes over pidfd, on failure too. on_exit comes once, from the loop, when the
 * process is gone and reaped; process_close() may be called from inside it.
 * -ENOMEM, or libuv's error: the child was killed and reaped then
 */
_must_use_ int process_new(struct process **ret_process, uv_loop_t *loop, pid_t pid, int pidfd,
	void (*on_exit)(void *data, const struct process_exit *e), void *data);
/* How it ended, where it has and that was not reported yet; false: it runs, or nobody can tell. */
_must_use_ bool process_peek(const struct process *p, struct process_exit *ret_exit);
/* SIGKILL; harmless when it has ended. */
void process_kill(struct process *p);
pid_t process_pid(const struct process *p);
/* Stop watching; memory goes with the loop's next turn. Accepts NULL; returns NULL. */
struct process *process_close(struct process *p);
/* "signal 9 (Killed)", "exit status 78" into out. Returns out. */
const char *process_exit_format(const struct process_exit *e, char *out, size_t cap);

#endif
