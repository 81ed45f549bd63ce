/*
 * model_check.c: PROGRAM --check DIRECTORY BACKEND, with the environment of a worker; what the model declares comes over
 * descriptor 3. Daemon process, before it serves.
 */
#include "model_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "pool/pool.h"
#include "pool/program.h"
#include "pool/spawn.h"

#define PROGRAM	   "modeld-python"
#define SAID_MAX   512u
#define DEVICE_MAX 128u

/* One try. */
struct attempt {
	const struct version_settings *v; /* borrow */
	void (*say)(const struct version_settings *v, const char *line);
	pid_t pid;
	int pidfd;	   /* own */
	int fd;		   /* own: what it declares */
	uint64_t until_ns; /* CLOCK_NO_DEADLINE: any time */
	char line[SAID_MAX];
	size_t n;
};

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

bool model_check_applies(const struct config *c, const struct version_settings *v)
{
	const struct pool_program *p = program_find(&c->pool, v->backend);
	const char *path = p ? p->argv[count(p->argv) - 1] : "";
	const char *slash = strrchr(path, '/');

	return !strcmp(slash ? slash + 1 : path, PROGRAM);
}

/* The first that it is for. */
static const char *device_of(const struct config *c, const struct version_settings *v, char *out)
{
	const char *all = v->devices ? v->devices : c->pool.places[0].device;

	snprintf(out, DEVICE_MAX, "%.*s", (int)strcspn(all, ", "), all);
	return out;
}

static int start(const struct config *c, const struct pool_program *p, struct attempt *a, int fd)
{
	const struct pool_model_settings m = {
		.name = a->v->name,
		.version = a->v->version,
		.path = a->v->path,
		.backend = a->v->backend,
		.parameters = a->v->parameters,
		.n_parameters = a->v->n_parameters,
	};
	size_t n = count(p->argv);
	_cleanup_(freep) const char **argv = calloc(n + 4, sizeof(*argv));
	_cleanup_(freep) char **environment = NULL;
	char device[DEVICE_MAX];
	struct spawn_options o = {
		.device = device_of(c, a->v, device), .sandbox = c->pool.sandbox, .channel_fd = fd};
	int r = argv ? program_environment(&environment, &c->pool, p, &m, device) : -ENOMEM;

	if (r)
		return r;
	memcpy(argv, p->argv, n * sizeof(*argv));
	argv[n] = "--check";
	argv[n + 1] = a->v->path;
	argv[n + 2] = a->v->backend;
	o.argv = argv;
	o.environment = (const char *const *)environment;
	return spawn(&o, &a->pid, &a->pidfd);
}

/* Longer lines are cut into several. */
static void take(struct attempt *a, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] != '\n')
			a->line[a->n++] = data[i];
		if (data[i] != '\n' && a->n < sizeof(a->line) - 1)
			continue;
		a->line[a->n] = '\0';
		a->n = 0;
		a->say(a->v, a->line);
	}
}

/* What is there, without waiting. */
static void drain(struct attempt *a)
{
	char data[512];
	ssize_t n;

	while ((n = read(a->fd, data, sizeof(data))) > 0)
		take(a, data, (size_t)n);
}

static int timeout_ms(const struct attempt *a)
{
	uint64_t now_ns = clock_ns();

	if (a->until_ns == CLOCK_NO_DEADLINE)
		return -1;
	return a->until_ns > now_ns ? (int)((a->until_ns - now_ns) / NS_PER_MS + 1) : 0;
}

/* 0: it has ended. */
static int await(struct attempt *a)
{
	struct pollfd p[2] = {{.fd = a->pidfd, .events = POLLIN}, {.fd = a->fd, .events = POLLIN}};
	int n;

	do {
		n = poll(p, 2, timeout_ms(a));
		if (n < 0 && errno != EINTR)
			return -errno;
		drain(a);
		if (p[1].revents & POLLHUP)
			p[1].fd = -1;
	} while (n < 0 || (n > 0 && !(p[0].revents & POLLIN)));
	return n == 0 ? -ETIMEDOUT : 0;
}

/* It leads a group, which ends with it. */
static int finish(struct attempt *a, int r, char *why, size_t cap)
{
	int status = 0;

	kill(-a->pid, SIGKILL);
	if (waitpid(a->pid, &status, 0) != a->pid || r)
		return r ? r : -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		snprintf(why, cap, "its code ended by signal %d", WTERMSIG(status));
	else
		snprintf(why, cap, "its code cannot be loaded (exit status %d)",
			WEXITSTATUS(status));
	return -ENOEXEC;
}

int model_check(const struct config *c, const struct version_settings *v,
	void (*say)(const struct version_settings *v, const char *line), char *why, size_t cap)
{
	struct attempt a = {.v = v, .say = say, .pidfd = -1, .until_ns = CLOCK_NO_DEADLINE};
	int pair[2];
	int r;

	if (pipe2(pair, O_CLOEXEC) || fcntl(pair[0], F_SETFL, O_NONBLOCK))
		return -errno;
	a.fd = pair[0];
	if (c->pool.load_timeout_ms > 0)
		a.until_ns = clock_ns() + c->pool.load_timeout_ms * NS_PER_MS;
	r = start(c, program_find(&c->pool, v->backend), &a, pair[1]);
	close(pair[1]);
	if (!r)
		r = finish(&a, await(&a), why, cap);
	if (r == -ETIMEDOUT)
		snprintf(why, cap, "its code was not loaded within [worker] load_timeout_ms");
	else if (r && r != -ENOEXEC)
		snprintf(why, cap, "it cannot be tried: %s", err_str(r));
	close_fd(&a.pidfd);
	close_fd(&a.fd);
	return r;
}
