/*
 * main.c: the daemon's command line. Daemon process.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/given_sockets.h"
#include "base/log.h"
#include "base/places.h"
#include "base/standard_fds.h"
#include "check.h"
#include "check_models.h"
#include "config.h"
#include "config_default.h"
#include "config_source.h"
#include "descriptors.h"
#include "device_check.h"
#include "models/repository.h"
#include "server.h"
#include "succession.h"

#define SETS_MAX 256
#define NEEDED	 "--config FILE or --triton REPOSITORY is needed"

static const char usage[] =
	"usage: modeld [--config FILE] [--set section.key=value]... [--check[=FORM]]\n"
	"       modeld --triton REPOSITORY [--set section.key=value]... [--check[=FORM]]\n"
	"\n"
	"Serves the models of a repository over gRPC, from worker processes.\n"
	"\n"
	"  -c, --config FILE            configuration; every key is explained in "
	"conf/modeld.conf.\n"
	"                               Not given: the installed one, "
	"PREFIX/etc/modeld/modeld.conf\n"
	"                               (/etc/modeld/modeld.conf of /usr/bin/modeld)\n"
	"      --triton REPOSITORY      without a file, or over it: Triton's defaults for this\n"
	"                               repository of models (gRPC on 0.0.0.0:8001, metrics on\n"
	"                               0.0.0.0:8002)\n"
	"  -s, --set section.key=value  override one key, e.g. --set server.listen=127.0.0.1:6000\n"
	"      --check                  validate, try what start-up needs, print the\n"
	"                               effective configuration, and exit; with the FORM conf or\n"
	"                               pbtxt, load the models and print what is in effect of\n"
	"                               each, as model.conf or config.pbtxt\n"
	"  -V, --version                print the version\n"
	"  -h, --help                   print this\n"
	"\n"
	"SIGTERM or SIGINT finishes calls in flight and exits 0; a second one ends at once.\n"
	"SIGHUP reads the models' part of the configuration and the repository again.\n"
	"SIGUSR2 starts the program again, which takes over when its models are loaded.\n"
	"Exit status: 64 usage, 70 internal, 71 system (socket in use, no memory), 78 "
	"configuration.\n";

/* What --triton stands for. */
enum triton_set {
	TRITON_REPOSITORY,
	TRITON_LISTEN,
	TRITON_METRICS,
	TRITON_SERVE,
	TRITON_CONTROL,
	TRITON_SETS_,
};

struct options {
	struct config_source source; /* sets: the array below */
	const char *triton[TRITON_SETS_ + 1];
	char *triton_repository; /* own; NULL: it was not given */
	char installed[4096];	 /* the file that goes with this program; "": it is not installed */
	const char *sets[SETS_MAX];
	bool check;
	bool forms; /* --check prints files of models: */
	enum model_form form;
};

static int usage_error(const char *what)
{
	fprintf(stderr, "modeld: %s\nTry 'modeld --help'.\n", what);
	return SERVER_EXIT_USAGE;
}

/* 0; an exit code */
static int set_triton(struct options *o, const char *repository)
{
	free(o->triton_repository);
	if (asprintf(&o->triton_repository, "models.repository=%s", repository) < 0) {
		o->triton_repository = NULL;
		return SERVER_EXIT_OS;
	}
	o->triton[TRITON_REPOSITORY] = o->triton_repository;
	o->triton[TRITON_LISTEN] = "server.listen=0.0.0.0:8001, unix:modeld.sock";
	o->triton[TRITON_METRICS] = "metrics.listen=0.0.0.0:8002";
	o->triton[TRITON_SERVE] = "models.serve=*";
	o->triton[TRITON_CONTROL] = "models.control=none";
	o->source.before = o->triton;
	return 0;
}

/* -EINVAL */
static int set_form(struct options *o, const char *form)
{
	o->check = true;
	o->forms = form != NULL;
	o->form = form && !strcmp(form, "pbtxt") ? MODEL_FORM_PBTXT : MODEL_FORM_CONF;
	return form && strcmp(form, "pbtxt") != 0 && strcmp(form, "conf") != 0 ? -EINVAL : 0;
}

/* Nothing says which configuration. 0; an exit code */
static int take_installed(struct options *o)
{
	if (!*o->installed)
		return usage_error(NEEDED);
	if (access(o->installed, F_OK)) {
		fprintf(stderr, "modeld: there is no %s\n", o->installed);
		return usage_error(NEEDED);
	}
	o->source.file = o->installed;
	return 0;
}

/* 0 to go on, -1 when done with success, else an exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 's'},
		{"triton", required_argument, NULL, 'T'},
		{"check", optional_argument, NULL, 'C'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:s:Vh", longs, NULL)) != -1) {
		if (c == 'c')
			o->source.file = optarg;
		else if (c == 's' && o->source.n_sets < SETS_MAX)
			o->sets[o->source.n_sets++] = optarg;
		else if (c == 'T') {
			if (set_triton(o, optarg))
				return SERVER_EXIT_OS;
		} else if (c == 'C') {
			if (set_form(o, optarg))
				return usage_error("--check=FORM: conf or pbtxt is expected");
		} else if (c == 'V')
			return puts("modeld " MODELD_VERSION) < 0 ? SERVER_EXIT_OS : -1;
		else if (c == 'h')
			return fputs(usage, stdout) < 0 ? SERVER_EXIT_OS : -1;
		else if (c == 's')
			return usage_error("too many --set");
		else
			return usage_error("see the message above");
	}
	if (optind < argc) {
		fprintf(stderr,
			"modeld: '%s' is no option: --config FILE names a configuration, --triton "
			"REPOSITORY a directory of models\nTry 'modeld --help'.\n",
			argv[optind]);
		return SERVER_EXIT_USAGE;
	}
	return o->source.file || o->triton_repository ? 0 : take_installed(o);
}

static void release_options(struct options *o)
{
	free(o->triton_repository);
}

static int config_failed(int r, const char *text)
{
	if (r != CONFIG_E_INVALID)
		log_error("bad configuration", "%s", err_str(r));
	for (size_t n; r == CONFIG_E_INVALID && *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		log_error("bad configuration", "%.*s", (int)n, text);
	}
	return SERVER_EXIT_CONFIG;
}

static int load(struct config *c, const struct config_source *source, bool is_check,
	struct repository **ret_repository)
{
	char text[8192] = "";
	const char *where;
	int r = config_source_read(source, c, text, sizeof(text));

	if (r)
		return config_failed(r, text);
	r = repository_read(ret_repository, &c->models, NULL, text, sizeof(text));
	if (r != REPOSITORY_E_UNREADABLE)
		return r ? config_failed(r, text) : 0;
	where = config_where(c, "models", "repository");
	log_error("bad configuration", "%s%s%s", where ? where : "", where ? ": " : "", text);
	/* It is no reason not to look at the rest. */
	if (is_check)
		(void)!check_surroundings(c, stderr);
	return SERVER_EXIT_CONFIG;
}

/* The one directory that the daemon makes; nobody else may write into it. */
static int make_runtime_dir(const char *path)
{
	bool own = places_is_own_dir(path);

	if (mkdir(path, own ? 0700 : 0755) && errno != EEXIST) {
		log_error("cannot make the runtime directory", "path=%s error=%s", path,
			err_str(-errno));
		return SERVER_EXIT_OS;
	}
	if (!own || places_is_ours(path))
		return 0;
	log_error("the runtime directory is not this user's alone",
		"path=%s: have it removed, or set [server] runtime_dir", path);
	return SERVER_EXIT_OS;
}

static void log_missing_backends(const struct config *c)
{
	struct missing_backend b;
	size_t at = 0;

	while (config_next_missing_backend(c, &at, &b))
		log_warning("a section of the configuration means nothing",
			"section=[backend.%.*s] where=\"%s\" why=\"" CHECK_NO_BACKEND "\"", b.n,
			b.name, b.where);
}

/* --check: prints what is in effect, and what is wrong. Returns the exit code. */
static int check(
	const struct config *c, const struct options *o, const struct repository *repository)
{
	int failed;

	if (!o->forms)
		config_print(c, stdout);
	failed = o->forms ? check_models_print(c, o->form, repository)
			  : check_models_list(c, repository);
	if (fflush(stdout))
		return SERVER_EXIT_OS;
	if (check_models_backends(c, repository, !o->forms) + check_models_wrong(repository) +
			check_models_default(c, repository) + check_surroundings(c, stderr) +
			device_check_all(c, stderr) >
		0)
		return SERVER_EXIT_CONFIG;
	return failed;
}

/* What is left to do is short: a signal that comes now must not replace the exit status. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* As workers do, who must not look into it either. */
static void close_memory(const struct config *c)
{
	if (strcmp(c->sandbox.mode, "off") != 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		log_warning("other processes of this user can look into this one", "error=\"%s\"",
			err_str(-errno));
}

/* How we were started, for who takes our place: by the path, where a newer program may lie then. */
struct command {
	char program[4096];
	char *const *argv; /* borrow */
};

static void command_init(struct command *c, char *const *argv)
{
	ssize_t n = readlink("/proc/self/exe", c->program, sizeof(c->program) - 1);

	c->argv = argv;
	if (n > 0)
		c->program[n] = 0;
	else
		snprintf(c->program, sizeof(c->program), "%s", argv[0]);
}

static int serve(struct config *c, struct repository **repository,
	const struct config_source *source, const struct command *command)
{
	_cleanup_(server_freep) struct server *s = NULL;
	uint64_t descriptors;
	int r;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	descriptors = descriptors_raise();
	if (descriptors_share(c, descriptors))
		return SERVER_EXIT_OS;
	r = config_needs_runtime_dir(c) ? make_runtime_dir(c->runtime_dir) : 0;
	if (r)
		return r;
	log_info("modeld " MODELD_VERSION, "pid=%d repository=%s descriptors=%" PRIu64, getpid(),
		c->models.repositories[0], descriptors);
	log_info("memory",
		"bytes=%" PRIu64 " source=%s input_arena_bytes=%" PRIu64
		" output_arena_bytes=%" PRIu64 " shm_total_bytes=%" PRIu64,
		c->memory_bytes, c->memory_source, c->dispatch.arena.limit,
		c->pool.output_arena_bytes, c->handoff.shm_total_bytes);
	log_missing_backends(c);
	close_memory(c);
	r = server_new(&s, c, steal_ptr(*repository));
	if (!r) {
		server_set_source(s, source);
		server_set_command(s, command->program, command->argv);
		r = server_run(s);
	}
	block_signals();
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_(config_release) struct config config = {0};
	_cleanup_(repository_freep) struct repository *repository = NULL;
	_cleanup_(release_options) struct options o = {0};
	struct given_sockets given;
	struct command command;
	int r;

	succession_detach();
	given_sockets_collect(&given);
	if (standard_fds_open())
		return SERVER_EXIT_OS;
	command_init(&command, argv);
	if (!config_default_file(command.program, o.installed, sizeof(o.installed)))
		o.installed[0] = '\0';
	r = parse_options(argc, argv, &o);
	if (r)
		return r < 0 ? SERVER_EXIT_OK : r;
	/* It asks for something that is not there yet; it ends nothing. */
	signal(SIGHUP, SIG_IGN);
	/* There is nothing to be reopened: log rotation is the business of whoever reads the log. */
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	log_init(NULL, LOG_LEVEL_INFO);
	o.source.sets = o.sets;
	r = load(&config, &o.source, o.check, &repository);
	if (r)
		return r;
	log_init(NULL, config.log_level);
	log_set_format(config.log_format);
	if (o.source.file == o.installed)
		log_info("no --config is given: the installed configuration is read", "file=%s",
			o.installed);
	/* Of what is started. Without memory for it their lines are text. */
	setenv(LOG_FORMAT_VARIABLE, log_format_name(config.log_format), 1);
	if (o.check)
		return check(&config, &o, repository);
	config.given = config.frontend.http2.given = config.handoff.given = &given;
	return serve(&config, &repository, &o.source, &command);
}
