/*
 * modelctl.h: what modelctl's commands share. Each command is one file with one function; main.c lists them
 * in a table; what is declared below those is in modelctl.c.
 */
#ifndef CLIENTS_MODELCTL_MODELCTL_H
#define CLIENTS_MODELCTL_MODELCTL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/places.h"
#include "clients/c/grpc_client.h"

/* Exit codes, the same for every command. */
enum modelctl_exit {
	MODELCTL_OK = 0,
	MODELCTL_FAILED = 1,	  /* the call failed; not serving; not ready in time */
	MODELCTL_UNREACHABLE = 2, /* nobody answers at the address */
	MODELCTL_USAGE = 64,
};

/* Options that every command takes. */
struct modelctl {
	const char *address; /* borrow; NULL: the first that answers, see base/places.h */
	struct places places;
	uint64_t timeout_ns; /* of connecting and of each call */
	bool json;	     /* -o json */
	bool wide;	     /* -o wide: what a table leaves out, too */
	bool watch;	     /* again and again, until it is interrupted */
	bool terminal;	     /* standard output is one */
};

/* argv[0] is the command's own name, getopt state is fresh. Returns an exit code. */
typedef int (*modelctl_command_fn)(struct modelctl *m, int argc, char **argv);

int command_status(struct modelctl *m, int argc, char **argv);
int command_health(struct modelctl *m, int argc, char **argv);
int command_infer(struct modelctl *m, int argc, char **argv);
int command_wait_ready(struct modelctl *m, int argc, char **argv);
int command_load(struct modelctl *m, int argc, char **argv);
int command_unload(struct modelctl *m, int argc, char **argv);
int command_reload(struct modelctl *m, int argc, char **argv);
int command_models(struct modelctl *m, int argc, char **argv);
int command_stats(struct modelctl *m, int argc, char **argv);
int command_config(struct modelctl *m, int argc, char **argv);
int command_bench(struct modelctl *m, int argc, char **argv);
int command_logs(struct modelctl *m, int argc, char **argv);
int command_events(struct modelctl *m, int argc, char **argv);
int command_top(struct modelctl *m, int argc, char **argv);
int command_completion(struct modelctl *m, int argc, char **argv);

/* Print "modelctl: ..." to standard error; returns `code`. */
int modelctl_fail(int code, const char *format, ...) _printf_(2, 3);
/* One of the options that every command takes? Returns 0 when taken, -1 when unknown, else an exit
 * code. Long options: MODELCTL_OPTIONS. */
int modelctl_option(struct modelctl *m, int c, const char *value);

#define MODELCTL_SHORT "a:t:jo:h"
#define MODELCTL_OPTIONS                                                                           \
	{"address", required_argument, NULL, 'a'}, {"timeout", required_argument, NULL, 't'},      \
		{"json", no_argument, NULL, 'j'}, {"format", required_argument, NULL, 'O'},        \
	{                                                                                          \
		"help", no_argument, NULL, 'h'                                                     \
	}

/* Where it connects to; asked again, it may have found another. */
const char *modelctl_address(const struct modelctl *m);
/* Of commands that can be watched, besides. */
#define MODELCTL_WATCH                                                                             \
	{                                                                                          \
		"watch", no_argument, NULL, 'W'                                                    \
	}

#define MODELCTL_OWN_MAX 8 /* options of a command's own */

/* What may stand behind a command's name. */
struct modelctl_line {
	const char *usage;
	/* Besides those that every command takes, all zero behind the last; NULL: none. A `val` that is a small letter or a
	 * digit is a short option, too. */
	const struct option *options;
	/* Is asked first, also about those of every command. 0: taken; -1: not its own; else an exit code. NULL: none */
	int (*take)(void *data, int c, char *value);
	void *data;
	int n_min, n_max;      /* arguments */
	const char *arguments; /* what it takes, for "NAME takes ..." */
};

/* Reads the whole line. An exit code, when help was printed, too; -1 to go on: arguments begin at argv[optind]. */
_must_use_ int modelctl_parse(
	struct modelctl *m, int argc, char **argv, const struct modelctl_line *line);

/* Connect, or say why not. 0, MODELCTL_UNREACHABLE; MODELCTL_USAGE: that is no address */
_must_use_ int modelctl_connect(const struct modelctl *m, struct grpc_client **ret_client);
/* Connect anew where the server takes no more calls on *client, which may be closed then: no call is open there. Takes in what has come.
 * As modelctl_connect(), after which *client may be NULL. */
_must_use_ int modelctl_renew(const struct modelctl *m, struct grpc_client **client);
/*
 * One unary call: `request` out, the reply message into `reply` (initialised by the caller). 0, or an
 * exit code after saying what failed: MODELCTL_UNREACHABLE where the connection was lost meanwhile.
 */
_must_use_ int modelctl_call(const struct modelctl *m, struct grpc_client *c, const char *path,
	const struct grpc_piece *pieces, size_t n_pieces, struct buf *reply);

#endif
