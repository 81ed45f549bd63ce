/*
 * main.c: modelctl's command line: the table of commands and what they share. modelctl, one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digits.h"
#include "base/err.h"
#include "clients/modelctl/modelctl.h"

#define DEFAULT_TIMEOUT_S 10

static const struct command {
	const char *name;
	modelctl_command_fn run;
	const char *line;
} commands[] = {
	{"status", command_status, "workers, models, memory and counters of a running daemon"},
	{"health", command_health,
		"health of the server, a service or a model; --watch follows it"},
	{"infer", command_infer, "run a model on a file or on generated data"},
	{"wait-ready", command_wait_ready, "return when the server (or a model) is serving"},
};

static void usage(FILE *out)
{
	(void)fputs("usage: modelctl COMMAND [options]\n\nTalks to a running modeld.\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		(void)fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].line);
	(void)fputs(
		"\nOptions of every command:\n"
		"  -a, --address ADDR   host:port, [ipv6]:port or unix:/path\n"
		"                       (default $MODELD_ADDRESS, else " GRPC_CLIENT_DEFAULT_ADDRESS
		")\n"
		"  -t, --timeout SEC    of connecting and of each call (default 10)\n"
		"  -j, --json           machine-readable output\n"
		"  -h, --help           help for the command\n"
		"\n"
		"Exit status: 0 done; 1 the call failed, or not serving; 2 nobody answers; 64 "
		"usage.\n",
		out);
}

int modelctl_fail(int code, const char *format, ...)
{
	va_list args;

	(void)fputs("modelctl: ", stderr);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return code;
}

static int parse_timeout(struct modelctl *m, const char *value)
{
	double seconds;

	if (real_parse(value, &seconds) || seconds <= 0 || seconds > 1e9)
		return modelctl_fail(MODELCTL_USAGE,
			"--timeout '%s': a number of seconds above 0 is expected", value);
	m->timeout_ns = (uint64_t)(seconds * 1e9);
	return 0;
}

int modelctl_option(struct modelctl *m, int c, const char *value)
{
	switch (c) {
	case 'a':
		m->address = value;
		return 0;
	case 't':
		return parse_timeout(m, value);
	case 'j':
		m->json = true;
		return 0;
	default:
		return -1;
	}
}

int modelctl_connect(const struct modelctl *m, struct grpc_client **ret_client)
{
	char text[512];

	if (!grpc_client_new(ret_client, m->address, m->timeout_ns, text, sizeof(text)))
		return 0;
	return modelctl_fail(MODELCTL_UNREACHABLE, "%s", text);
}

struct reply {
	struct buf *buf; /* borrow */
	int error;
};

static void on_reply(void *data, const uint8_t *message, size_t n)
{
	struct reply *r = data;

	buf_reset(r->buf);
	r->error = buf_append(r->buf, message, n);
}

int modelctl_call(const struct modelctl *m, struct grpc_client *c, const char *path,
	const struct grpc_piece *pieces, size_t n_pieces, struct buf *reply)
{
	struct reply r = {.buf = reply};
	const struct grpc_call_options options = {
		.path = path,
		.pieces = pieces,
		.n_pieces = n_pieces,
		.timeout_ns = m->timeout_ns,
		.max_message_bytes = reply->max,
		.on_message = on_reply,
		.data = &r,
	};
	_cleanup_(grpc_call_freep) struct grpc_call *k = NULL;
	int e = grpc_call_new(&k, c, &options);

	/* The server keeps the deadline; ours is a little later and only for a server that is stuck. */
	if (!e)
		e = grpc_client_run(c, k, clock_add(clock_ns(), m->timeout_ns + NS_PER_S));
	if (e && !(k && grpc_call_done(k)))
		return modelctl_fail(
			MODELCTL_UNREACHABLE, "%s: %s: %s", m->address, path, err_str(e));
	if (grpc_call_status(k) == GRPC_OK && r.error)
		return modelctl_fail(MODELCTL_FAILED, "%s: %s", path, err_str(r.error));
	if (grpc_call_status(k) != GRPC_OK)
		return modelctl_fail(MODELCTL_FAILED, "%s: %s: %s", path,
			grpc_status_name((int)grpc_call_status(k)), grpc_call_message(k));
	return 0;
}

int main(int argc, char **argv)
{
	const char *address = getenv("MODELD_ADDRESS");
	struct modelctl m = {
		.address = address && *address ? address : GRPC_CLIENT_DEFAULT_ADDRESS,
		.timeout_ns = DEFAULT_TIMEOUT_S * NS_PER_S,
		.terminal = isatty(STDOUT_FILENO),
	};
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "-h") || !strcmp(name, "--help") || !strcmp(name, "help")) {
		usage(stdout);
		return MODELCTL_OK;
	}
	if (!strcmp(name, "-V") || !strcmp(name, "--version"))
		return puts("modelctl " MODELD_VERSION) < 0 ? MODELCTL_FAILED : MODELCTL_OK;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		int code = commands[i].run(&m, argc - 1, argv + 1);

		return fflush(stdout)
			       ? modelctl_fail(MODELCTL_FAILED, "cannot write: %s", err_str(-errno))
			       : code;
	}
	if (*name)
		(void)modelctl_fail(0, "unknown command '%s'", name);
	usage(stderr);
	return MODELCTL_USAGE;
}
