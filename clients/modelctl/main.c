/*
 * main.c: modelctl's command line: the table of commands. modelctl, one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "clients/modelctl/modelctl.h"

#define DEFAULT_TIMEOUT_S 10

static const struct command {
	const char *name;
	modelctl_command_fn run;
	const char *line;
} commands[] = {
	{"status", command_status, "workers, models, memory and counters of a running daemon"},
	{"models", command_models, "models of the repositories, and the state of each version"},
	{"stats", command_stats, "requests, rows, batches and times of each model"},
	{"config", command_config, "a model's configuration, as JSON"},
	{"bench", command_bench, "ask a model again and again: requests a second, and latencies"},
	{"health", command_health,
		"health of the server, a service or a model; --watch follows it"},
	{"infer", command_infer, "run a model on a file or on generated data"},
	{"wait-ready", command_wait_ready, "return when the server (or a model) is serving"},
	{"load", command_load, "have a model served, and wait until it is ready"},
	{"unload", command_unload, "have a model served no more, and wait until it is gone"},
	{"reload", command_reload, "have a model, or the configuration and all models, read again"},
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
