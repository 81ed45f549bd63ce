/*
 * sandbox.h: what this process gives up before it runs the code of a model, so that a model that was
 * taken over is no more than a model: new privileges, files that are not its business, and system
 * calls that serve to reach other processes or the kernel. Children inherit all of it.
 *
 * It has to be applied while the process has one thread. What the kernel lacks is left out, and said.
 */
#ifndef WORKERS_SANDBOX_H
#define WORKERS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

#define SANDBOX_TEXT_MAX 256u

/* The variables by which the daemon says what it wants. Lists have one path a line. */
#define SANDBOX_MODE  "MODELD_SANDBOX"	     /* "on", "relaxed", "off"; not there: off */
#define SANDBOX_READ  "MODELD_SANDBOX_READ"  /* may be read, with what is below */
#define SANDBOX_WRITE "MODELD_SANDBOX_WRITE" /* may be written, too */
/* Directories of models: may be read, and so may those that links in them lead to. */
#define SANDBOX_MODELS "MODELD_SANDBOX_MODELS"
/* "UID:GID" of another user that the process becomes first, whatever the mode is; not there: none */
#define SANDBOX_USER "MODELD_SANDBOX_USER"
/* And those that say what came of it: for people, "" where there is nothing to say. */
#define SANDBOX_STATE "MODELD_SANDBOX_STATE"
#define SANDBOX_LACKS "MODELD_SANDBOX_LACKS"

enum sandbox_mode {
	SANDBOX_OFF,
	SANDBOX_RELAXED, /* programs, sockets and temporary files are allowed */
	SANDBOX_ON,
};

struct sandbox_options {
	enum sandbox_mode mode;
	bool executes;	   /* programs, in any mode: the next thing is to become one */
	bool gpu;	   /* it drives one */
	const char *read;  /* NULL: nothing more than what every program needs */
	const char *write; /* NULL: nothing */
	const char *models;
	const char *user; /* NULL: the daemon's own */
};

struct sandbox_report {
	char state
		[SANDBOX_TEXT_MAX]; /* "on: no new privileges, files (Landlock 7), system calls" */
	char lacks[SANDBOX_TEXT_MAX]; /* "files: Function not implemented" */
};

/* What the environment says; `gpu` and `executes` are left alone. -EINVAL: a mode or a user that is none */
_must_use_ int sandbox_options_read(struct sandbox_options *o);

/*
 * Give it up. Opens the paths of the options: those that cannot be opened cannot be used later.
 * -ENOMEM; -errno of setresuid(2) and its like, where there is to be another user; -errno of prctl(2), seccomp(2) or
 * landlock_restrict_self(2), where the kernel has the part
 * and refuses it: no code of a model may run then
 */
_must_use_ int sandbox_apply(const struct sandbox_options *o, struct sandbox_report *report);

/*
 * Nobody may look into this process's memory any more, or attach to it. Not in sandbox_apply(), since the
 * daemon writes to /proc/PID of a process that it has just started. Does nothing where the mode is off, or
 * where a core is wanted (RLIMIT_CORE), which it would keep from being written. Any thread.
 */
void sandbox_close(void);

#endif
