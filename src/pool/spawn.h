/* spawn.h: start a worker program: descriptors, signals and environment as a worker expects them. */
#ifndef POOL_SPAWN_H
#define POOL_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

#define SPAWN_OOM_ADJ 500 /* oom_score_adj, proc(5) */

struct spawn_options {
	const char *const
		*argv;	    /* NULL-terminated; the first is its path: it is not searched for */
	const char *device; /* "cpu:0": decides what it sees, see environment.h */
	const char *const
		*environment; /* more of it, as "NAME=value"; NULL-terminated; NULL: nothing */
	const char *const *sandbox; /* the same, unless `environment` has them */
	int channel_fd;		    /* borrow: becomes descriptor 3 */
	int handoff_fd;		    /* borrow: becomes descriptor 4; 0, -1: none */
	int group_fd;		    /* borrow: cgroup.procs of its control group; 0, -1: none */
	uint64_t data_bytes;	    /* RLIMIT_DATA; 0: none */
	bool core;		    /* it may dump its core where the limits allow it */
};

/*
 * Start it in a process group of its own, with standard input empty, standard output joined to
 * standard error, and no other descriptor than 3 and perhaps 4. It gets SIGKILL when the calling thread
 * ends, and is by SPAWN_OOM_ADJ likelier to be ended for want of memory than its parent. Blocks until the program is executing or has failed to.
 * ret_pid: to be waited for by the caller; ret_pidfd: own.
 *
 * -ENOMEM; -errno of clone(), execve() or whatever else failed on the way: no process is left then
 */
_must_use_ int spawn(const struct spawn_options *o, pid_t *ret_pid, int *ret_pidfd);

#endif
