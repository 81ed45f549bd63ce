/*
 * main.c: the worker's start: checks what the daemon left it, makes it end with the daemon, and
 * serves. Worker process, its one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/log.h"
#include "base/standard_fds.h"
#include "workers/loop.h"
#include "workers/parting.h"
#include "workers/sandbox.h"

#define CHANNEL_FD 3

#define TITLE_PREFIX "modeld-worker: "
#define COMM_MAX     16 /* bytes of a thread's name, with the NUL */

static const char usage[] =
	"modeld-worker runs models for modeld, which starts it: there is nothing to do by hand.\n"
	"See [worker] in modeld.conf for how many there are and on which devices.\n"
	"\n"
	"Descriptor 3 is a Unix SOCK_SEQPACKET socket to the daemon; memory comes over it.\n"
	"docs/protocol.md describes the messages.\n"
	"\n"
	"  --run PROGRAM [ARG ...]  become another worker program, in the sandbox that the "
	"environment asks for\n"
	"  -V, --version   print the version\n"
	"  -h, --help      print this\n"
	"\n"
	"Exit status: 0 after the daemon said so or is gone, 70 internal error, 76 the device\n"
	"failed this process, 77 the device cannot be used, 78 configuration (a device that is "
	"not\n"
	"there, a daemon of another version).\n";

/* The memory of the command line, which `ps` shows. */
struct title {
	char *text;
	size_t room;	  /* without the NUL at the end */
	pthread_t thread; /* whose name is the process's */
};

/* The daemon hides GPUs from workers that are not on one. */
static bool drives_gpu(void)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");

	return visible && *visible;
}

static int say_sandbox(const struct sandbox_report *report)
{
	if (setenv(SANDBOX_STATE, report->state, 1) || setenv(SANDBOX_LACKS, report->lacks, 1))
		return -errno;
	return 0;
}

/* executes: to become a program. */
static int enter_sandbox(bool executes)
{
	struct sandbox_options o = {.executes = executes, .gpu = drives_gpu()};
	struct sandbox_report report;
	int r = sandbox_options_read(&o);

	if (!r)
		r = sandbox_apply(&o, &report);
	if (!r)
		r = say_sandbox(&report);
	if (!r)
		return 0;
	log_error("the sandbox cannot be entered",
		"error=\"%s\" setting=\"[worker] sandbox, user\"", err_str(r));
	parting_say(CHANNEL_FD, "the sandbox cannot be entered ([worker] sandbox, user): %s",
		err_str(r));
	return r;
}

static int run_program(char **argv)
{
	int r;

	if (!enter_sandbox(true)) {
		execv(argv[0], argv);
		r = -errno;
		log_error("cannot run", "program=%s error=\"%s\"", argv[0], err_str(r));
		parting_say(CHANNEL_FD, "%s cannot be run: %s", argv[0], err_str(r));
	}
	return WORKER_EXIT_CONFIG;
}

/* -1: go on; else an exit status. */
static int answer_arguments(int argc, char **argv)
{
	if (argc < 2)
		return -1;
	if (!strcmp(argv[1], "--run") && argc > 2)
		return run_program(argv + 2);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return puts("modeld-worker " MODELD_VERSION) < 0 ? WORKER_EXIT_INTERNAL
								 : WORKER_EXIT_OK;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return fputs(usage, stdout) < 0 ? WORKER_EXIT_INTERNAL : WORKER_EXIT_OK;
	fprintf(stderr, "modeld-worker: unknown argument '%s'\nTry 'modeld-worker --help'.\n",
		argv[1]);
	return WORKER_EXIT_CONFIG;
}

/* A socket on 3: this is no accident. Children of backends do not get them. */
static bool started_by_daemon(void)
{
	struct stat st;
	int flags;

	if (fstat(CHANNEL_FD, &st) || !S_ISSOCK(st.st_mode))
		return false;
	flags = fcntl(CHANNEL_FD, F_GETFL);
	return flags >= 0 && fcntl(CHANNEL_FD, F_SETFL, flags & ~O_NONBLOCK) >= 0 &&
	       fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC) >= 0;
}

/* SIGTERM keeps its default: it ends this worker, and the daemon starts another one. What a
 * terminal sends to everybody in front of it is the daemon's business. */
static void set_signals(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	/* End of file says the same, but only where somebody reads. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		log_warning("cannot ask to die with the daemon", "error=\"%s\"", err_str(-errno));
}

static void show_name(void *data, const char *name)
{
	struct title *t = data;
	char comm[COMM_MAX];

	snprintf(comm, sizeof(comm), "%s", name);
	pthread_setname_np(t->thread, comm);
	memset(t->text, 0, t->room);
	snprintf(t->text, t->room + 1, TITLE_PREFIX "%s", name);
}

int main(int argc, char **argv)
{
	_cleanup_(loop_freep) struct loop *l = NULL;
	struct title title = {argv[0], strlen(argv[0]), pthread_self()};
	int r;

	if (standard_fds_open())
		return WORKER_EXIT_INTERNAL;
	log_init("modeld-worker", LOG_LEVEL_INFO);
	r = answer_arguments(argc, argv);
	if (r >= 0)
		return r;
	if (!started_by_daemon()) {
		fputs("modeld-worker: modeld starts this program; by hand it does nothing.\n"
		      "Try 'modeld-worker --help'.\n",
			stderr);
		return WORKER_EXIT_CONFIG;
	}
	set_signals();
	if (enter_sandbox(false))
		return WORKER_EXIT_CONFIG;
	r = loop_new(&l, CHANNEL_FD, show_name, &title);
	if (r) {
		log_error("worker stops", "error=\"%s\"", err_str(r));
		return WORKER_EXIT_INTERNAL;
	}
	r = loop_run(l);
	/* What is at work cannot be told to stop; what is left of a backend that cannot go on is not to be
	 * trusted with being unloaded; and a channel that is closed while we tidy up is a crash to the daemon,
	 * which would never see the status. */
	if (r != WORKER_EXIT_OK || !loop_is_idle(l))
		_exit(r);
	return r;
}
