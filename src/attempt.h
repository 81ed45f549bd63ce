/*
 * attempt.h: a process that is started to try something, heard, and ended: a program that tells by lines, or a worker, to
 * which we are the daemon for a moment. Nothing of what it runs is in this process. All functions block. Daemon process,
 * before it serves.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "proto/wire.h"

struct config;
struct pool_program;
struct version_settings;

struct attempt {
	const struct config *config;	  /* borrow */
	const struct version_settings *v; /* borrow; NULL: it is for no one model */
	const char *
		device; /* borrow: where it runs; NULL: where the model does, or on no device of its own */
	pid_t pid;
	int pidfd;	   /* own */
	int fd;		   /* own: our end of its descriptor 3 */
	uint64_t until_ns; /* CLOCK_NO_DEADLINE: any time */
	char *why;	   /* borrow; of cap bytes */
	size_t cap;
	char parting[256]; /* why a worker ends, as it says itself; "": it does not */
	/* Take what is there, without waiting. 1: it is all; 0: there may be more; -errno */
	int (*hear)(struct attempt *a);
	/* Of a worker: each of its messages. As hear() */
	int (*take)(struct attempt *a, const struct wire_message *m);
	struct wire_scratch *scratch; /* own, during attempt_converse(); so is record */
	uint8_t *record;	      /* WIRE_MESSAGE_MAX bytes */
};

/* What it borrows must stay until attempt_end(). The caller sets hear(), or take(). */
void attempt_init(struct attempt *a, const struct config *c, const struct version_settings *v,
	char *why, size_t cap);
/* It has so long from now on; 0: any time. */
void attempt_limit(struct attempt *a, uint64_t limit_ms);
/* Start argv in the sandbox of the configuration, with the environment of a worker of p (NULL: none of its own). fd becomes
 * its descriptor 3. -ENOMEM, -errno of what it takes to start it */
_must_use_ int attempt_start(
	struct attempt *a, const struct pool_program *p, const char *const *argv, int fd);
/*
 * Of one that was started: hear it, unless r is an error already, then end it and all that it started.
 * 0: it has ended by itself, *ret_status says how; 1: hear() has it all; r, -ETIMEDOUT, -errno
 */
_must_use_ int attempt_finish(struct attempt *a, int r, int *ret_status);
/* Have `why` say how `what` of it ended, or why_not. Returns -ENOEXEC. */
int attempt_ended(struct attempt *a, const char *what, const char *why_not, int status);
/* Close what it has. Where `why` does not say it yet, what r means. Returns r. */
int attempt_end(struct attempt *a, int r);

/* Start a worker, set it up, and hear it: all of attempt_start() and attempt_finish(), with take() for its messages. */
_must_use_ int attempt_converse(struct attempt *a, int *ret_status);
/* Send it a message; a peer that is gone is seen by its end. -EMSGSIZE, -EINVAL, -errno */
_must_use_ int attempt_tell(struct attempt *a, const struct wire_message *m);

#endif
