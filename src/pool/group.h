/*
 * group.h: a control group (version 2) for each worker process, with limits of its own. They are made below the daemon's
 * group, which must be delegated to it: by systemd (Delegate=), or as the root that a container sees. The daemon itself moves
 * to one of them first, since a group that hands controllers on may have no processes. Daemon process, loop thread; reads
 * and writes small files.
 */
#ifndef POOL_GROUP_H
#define POOL_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define GROUP_PATH_MAX	     512u
#define GROUPS_DESCRIBED_MAX 320u

/* Of a worker process and of all that it starts; 0: none. */
struct worker_limits {
	uint64_t max_memory_bytes;
	uint32_t max_cpu_percent; /* of one processor */
	uint32_t max_processes;	  /* and threads */
};

/* 0: nobody counts it. */
struct group_use {
	uint64_t memory_bytes;
	uint64_t processes; /* and threads */
};

enum group_limit {
	GROUP_MEMORY,
	GROUP_CPU,
	GROUP_PROCESSES,
	GROUP_LIMITS_,
};

struct groups {
	const char *root; /* borrow; stands before each path, "" for the real ones */
	const struct worker_limits *limits; /* borrow */
	char base[GROUP_PATH_MAX];	    /* what they are made in; "": there are none */
	bool has[GROUP_LIMITS_];	    /* controllers that they have */
	char over[96];			    /* what is said of GROUP_END_LIMIT */
};

/* How a process that got SIGKILL has ended, as its group tells. */
enum group_end {
	GROUP_END_UNKNOWN,
	GROUP_END_OTHER,    /* not for want of memory */
	GROUP_END_LIMIT,    /* for max_memory_bytes */
	GROUP_END_SHORTAGE, /* for memory that others than the worker are short of, too */
};

/*
 * Find out what can be had, and get ready. Without limits nothing is done.
 * -EOPNOTSUPP: our group is not delegated, lacks all controllers that would be needed, or is not of version 2; -EBUSY: there are
 * others in it; -errno of what else went wrong: there are no groups then, and we are where we were.
 */
_must_use_ int groups_init(struct groups *g, const char *root, const struct worker_limits *limits);
/* What holds which limit, for people. */
void groups_describe(const struct groups *g, char text[GROUPS_DESCRIBED_MAX]);
/*
 * Make the one of process `number` of this daemon, whose limits are set. *ret_fd: own; a process that writes "0" there is in it
 * then; -1: there are no groups.
 * -errno
 */
_must_use_ int groups_make(struct groups *g, uint64_t number, int *ret_fd);
/* That process has ended, or was never started: whatever else it has left in its group is killed. */
enum group_end groups_remove(struct groups *g, uint64_t number);
/* ": by the kernel, for want of memory", "": nothing is to be said. Valid as long as g. */
const char *groups_end_text(const struct groups *g, enum group_end end);
/* Those of the limits that something holds; the others are 0. */
struct worker_limits groups_limits(const struct groups *g);
/* What process `number` and all that it has started take, as the kernel counts it now. */
struct group_use groups_use(const struct groups *g, uint64_t number);
/* Of so many processors those that a worker can keep busy within its limit; at least 1, unless there are none. */
uint32_t groups_processors(const struct groups *g, uint32_t processors);
/* What the limit of memory of a process must be that has no group for it: RLIMIT_DATA; 0: none. */
uint64_t groups_data_limit(const struct groups *g);

#endif
