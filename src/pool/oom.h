/*
 * oom.h: was it the kernel, for want of memory, that ended a process? It counts those that it ends, by control group, and
 * tells nobody which. Daemon process, loop thread; reads files.
 */
#ifndef POOL_OOM_H
#define POOL_OOM_H

#include <stdbool.h>
#include <stdint.h>

struct oom {
	const char *root; /* borrow; stands before each path that is read, "" for the real ones */
	uint64_t seen;	  /* of the kernel's count */
	uint64_t
		n_left; /* of those that it has ended, and for which no process of ours was found ... */
	uint64_t until_ns; /* ... which are somebody else's from then on */
};

/* What was counted so far is not ours. */
void oom_init(struct oom *o, const char *root);
/* A process of ours has ended by a SIGKILL that was not ours. True: the kernel ended it for want of memory. */
bool oom_claim(struct oom *o, uint64_t now_ns);

#endif
