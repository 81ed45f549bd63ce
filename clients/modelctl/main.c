/*
 * main.c: modelctl's command line: the table of commands. modelctl, one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
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
	{"top", command_top, "the same as it changes: rates, latencies, lanes, memory, GPUs"},
	{"events", command_events, "what happened to the daemon, its workers and its models"},
	{"logs", command_logs, "the last lines of the daemon's log; --follow goes on"},
	{"models", command_models, "models of the repositories, and the state of each version"},
	{"stats", command_stats, "requests, rows, batches and times of each model"},
	{"config", command_config, "a model's configuration, as JSON"},
	{"bench", command_bench, "ask a model again and again: requests a second, and latencies"},
	{"health", command_health,
		"health of the server, a service or a model; --watch follows it"},
	{"infer", command_infer, "run a model once, on files, text or made-up data"},
	{"wait-ready", command_wait_ready, "return when the server (or a model) is serving"},
	{"load", command_load, "have a model served, and wait until it is ready"},
	{"unload", command_unload, "have a model served no more, and wait until it is gone"},
	{"reload", command_reload, "have a model, or the configuration and all models, read again"},
	{"completion", command_completion, "print what makes bash complete commands and models"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	(void)fputs("usage: modelctl [options] COMMAND [options]\n\nTalks to a running modeld.\n\n",
		out);
	for (size_t i = 0; i < N_COMMANDS; i++)
		(void)fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].line);
	(void)fputs(
		"\nOptions of every command, before or after it:\n"
		"  -a, --address ADDR   host:port, [ipv6]:port or unix:/path\n"
		"                       (default $MODELD_ADDRESS, else the first that answers of\n"
		"                       $XDG_RUNTIME_DIR/modeld/modeld.sock (without such a\n"
		"                       variable " PLACES_OWN "UID/" PLACES_SOCKET "),\n"
		"                       " PLACES_SYSTEM_DIR "/" PLACES_SOCKET " and " PLACES_TCP
		")\n"
		"  -t, --timeout SEC    of connecting and of each call (default 10)\n"
		"  -o, --format FORMAT  json, table or wide (infer: -o FILE, too)\n"
		"  -j, --json           the same as -o json\n"
		"  -h, --help           help for the command\n"
		"\n"
		"Exit status: 0 done; 1 the call failed, or not serving; 2 nobody answers;\n"
		"64 usage.\n",
		out);
}

/* Those before the command. An exit code, or -1: optind is that of the command, or argc. */
static int leading_options(struct modelctl *m, int argc, char **argv)
{
	static const struct option longs[] = {
		MODELCTL_OPTIONS, {"version", no_argument, NULL, 'V'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "+" MODELCTL_SHORT "V", longs, NULL)) != -1) {
		int r = modelctl_option(m, c, optarg);

		if (r > 0)
			return r;
		if (r == 0)
			continue;
		if (c == 'V')
			return puts("modelctl " MODELD_VERSION) < 0 ? MODELCTL_FAILED : MODELCTL_OK;
		usage(c == 'h' ? stdout : stderr);
		return c == 'h' ? MODELCTL_OK : MODELCTL_USAGE;
	}
	return -1;
}

static void pause_before_the_next(const struct modelctl *m)
{
	const struct timespec second = {.tv_sec = 1};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &second, NULL);
	/* On a terminal the next one takes the place of this one. */
	if (m->terminal && !m->json)
		(void)fputs("\033[H\033[J", stdout);
}

static int run(struct modelctl *m, const struct command *command, int argc, char **argv)
{
	for (;;) {
		optind = 0; /* getopt(3): from the start, also behind options before the command */
		int code = command->run(m, argc, argv);

		if (fflush(stdout))
			return modelctl_fail(MODELCTL_FAILED, "cannot write: %s", err_str(-errno));
		if (!m->watch || code != MODELCTL_OK)
			return code;
		pause_before_the_next(m);
	}
}

/* A connection must not become what is printed to. Whoever writes to a closed descriptor is told so still. */
static int hold_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/", O_PATH | O_DIRECTORY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return modelctl_fail(MODELCTL_FAILED, "/: %s", err_str(-errno));
	close_fd(&fd);
	return 0;
}

static int command_line(struct modelctl *m, int argc, char **argv)
{
	const char *name;
	int r = leading_options(m, argc, argv);

	if (r >= 0)
		return r;
	name = optind < argc ? argv[optind] : "";
	if (!strcmp(name, "help")) {
		usage(stdout);
		return MODELCTL_OK;
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return run(m, &commands[i], argc - optind, argv + optind);
	}
	if (*name)
		(void)modelctl_fail(0, "unknown command '%s'\nTry 'modelctl --help'.", name);
	else
		usage(stderr);
	return MODELCTL_USAGE;
}

int main(int argc, char **argv)
{
	struct modelctl m = {
		.timeout_ns = DEFAULT_TIMEOUT_S * NS_PER_S,
		.terminal = isatty(STDOUT_FILENO),
	};
	int r = hold_standard_descriptors();

	if (r)
		return r;
	places_list(&m.places, NULL);
	r = command_line(&m, argc, argv);
	if (r == MODELCTL_OK && fflush(stdout))
		return modelctl_fail(MODELCTL_FAILED, "cannot write: %s", err_str(-errno));
	return r;
}
