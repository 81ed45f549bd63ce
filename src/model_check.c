/*
 * model_check.c: either PROGRAM --check DIRECTORY BACKEND, with the environment of a worker, which prints what the model
 * declares to descriptor 3; or a worker, to which we are the daemon for one load. Daemon process, before it serves.
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
#include "base/log.h"
#include "base/seqpacket.h"
#include "config.h"
#include "dispatch/version_settings.h"
#include "pool/declaration.h"
#include "pool/orders.h"
#include "pool/pool.h"
#include "pool/program.h"
#include "pool/spawn.h"
#include "proto/warmup_data.h"
#include "proto/wire.h"

#define PROGRAM	   "modeld-python"
#define SAID_MAX   512u
#define DEVICE_MAX 128u

/* One try. */
struct attempt {
	const struct config *config;	  /* borrow */
	const struct version_settings *v; /* borrow */
	pid_t pid;
	int pidfd;	   /* own */
	int fd;		   /* own: our end of its descriptor 3 */
	uint64_t until_ns; /* CLOCK_NO_DEADLINE: any time */
	/* Take what is there, without waiting. 1: it is all; 0: there may be more; -errno */
	int (*hear)(struct attempt *a);
	char *why; /* borrow; of cap bytes */
	size_t cap;

	/* Of a program that prints lines. */
	void (*say)(const struct version_settings *v, const char *line);
	char line[SAID_MAX];
	size_t n;

	/* Of a worker that loads. */
	struct wire_scratch *scratch; /* borrow */
	uint8_t *record;	      /* borrow: WIRE_MESSAGE_MAX bytes */
	struct wire_loaded *loaded;   /* own; NULL: it has not said so yet */
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

/* One that has not begun. */
static struct attempt attempt_at(
	const struct config *c, const struct version_settings *v, char *why, size_t cap)
{
	return (struct attempt){.config = c,
		.v = v,
		.pidfd = -1,
		.fd = -1,
		.until_ns = CLOCK_NO_DEADLINE,
		.why = why,
		.cap = cap};
}

/* The first that it is for. */
static const char *device_of(const struct config *c, const struct version_settings *v, char *out)
{
	const char *all = v->devices ? v->devices : c->pool.places[0].device;

	snprintf(out, DEVICE_MAX, "%.*s", (int)strcspn(all, ", "), all);
	return out;
}

/* fd becomes its descriptor 3. p: NULL where the program is the worker of all backends that have none of their own. */
static int start(struct attempt *a, const struct pool_program *p, const char *const *argv, int fd)
{
	const struct pool_settings *pool = &a->config->pool;
	const struct pool_model_settings m = version_settings_for_pool(a->v);
	_cleanup_(freep) char **environment = NULL;
	char device[DEVICE_MAX];
	struct spawn_options o = {.argv = argv,
		.device = device_of(a->config, a->v, device),
		.sandbox = pool->sandbox,
		.channel_fd = fd};
	int r = p ? program_environment(&environment, pool, p, &m, device) : 0;

	if (r)
		return r;
	o.environment = (const char *const *)environment;
	return spawn(&o, &a->pid, &a->pidfd);
}

static int start_check(struct attempt *a, int fd)
{
	const struct pool_program *p = program_find(&a->config->pool, a->v->backend);
	size_t n = count(p->argv);
	_cleanup_(freep) const char **argv = calloc(n + 4, sizeof(*argv));

	if (!argv)
		return -ENOMEM;
	memcpy(argv, p->argv, n * sizeof(*argv));
	argv[n] = "--check";
	argv[n + 1] = a->v->path;
	argv[n + 2] = a->v->backend;
	return start(a, p, argv, fd);
}

static int start_worker(struct attempt *a, int fd)
{
	const struct pool_program *p = program_find(&a->config->pool, a->v->backend);
	const char *const shared[] = {a->config->pool.worker_program, NULL};

	return start(a, p, p ? p->argv : shared, fd);
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

static int hear_lines(struct attempt *a)
{
	char data[512];
	ssize_t n;

	while ((n = read(a->fd, data, sizeof(data))) > 0)
		take(a, data, (size_t)n);
	return 0;
}

static int timeout_ms(const struct attempt *a)
{
	uint64_t now_ns = clock_ns();

	if (a->until_ns == CLOCK_NO_DEADLINE)
		return -1;
	return a->until_ns > now_ns ? (int)((a->until_ns - now_ns) / NS_PER_MS + 1) : 0;
}

/* 0: it has ended; 1: it has said all. */
static int await(struct attempt *a)
{
	struct pollfd p[2] = {{.fd = a->pidfd, .events = POLLIN}, {.fd = a->fd, .events = POLLIN}};
	int n, r;

	do {
		n = poll(p, 2, timeout_ms(a));
		if (n < 0 && errno != EINTR)
			return -errno;
		r = a->hear(a);
		if (r)
			return r;
		if (p[1].revents & POLLHUP)
			p[1].fd = -1;
	} while (n < 0 || (n > 0 && !(p[0].revents & POLLIN)));
	return n == 0 ? -ETIMEDOUT : 0;
}

/* It leads a group, which ends with it. r: of await(); *ret_status: of waitpid() */
static int finish(struct attempt *a, int r, int *ret_status)
{
	kill(-a->pid, SIGKILL);
	return waitpid(a->pid, ret_status, 0) == a->pid || r ? r : -errno;
}

static int ended(struct attempt *a, const char *what, const char *why_not, int status)
{
	if (WIFSIGNALED(status))
		snprintf(a->why, a->cap, "its %s ended by signal %d", what, WTERMSIG(status));
	else
		snprintf(a->why, a->cap, "its %s %s (exit status %d)", what, why_not,
			WEXITSTATUS(status));
	return -ENOEXEC;
}

static void begin(struct attempt *a, uint64_t limit_ms)
{
	if (limit_ms > 0)
		a->until_ns = clock_ns() + limit_ms * NS_PER_MS;
}

/* Returns r. */
static int explain(struct attempt *a, int r)
{
	if (r == -ETIMEDOUT)
		snprintf(a->why, a->cap, "it was not loaded within [worker] load_timeout_ms");
	else if (r && r != -ENOEXEC)
		snprintf(a->why, a->cap, "it cannot be tried: %s", err_str(r));
	close_fd(&a->pidfd);
	close_fd(&a->fd);
	return r;
}

int model_check(const struct config *c, const struct version_settings *v,
	void (*say)(const struct version_settings *v, const char *line), char *why, size_t cap)
{
	struct attempt a = attempt_at(c, v, why, cap);
	int pair[2];
	int status = 0;
	int r;

	a.hear = hear_lines;
	a.say = say;
	if (pipe2(pair, O_CLOEXEC))
		return explain(&a, -errno);
	a.fd = pair[0];
	r = fcntl(pair[0], F_SETFL, O_NONBLOCK) ? -errno : 0;
	begin(&a, c->pool.load_timeout_ms);
	if (!r)
		r = start_check(&a, pair[1]);
	close(pair[1]);
	if (!r)
		r = finish(&a, await(&a), &status);
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = ended(&a, "code", "cannot be loaded", status);
	return explain(&a, r);
}

/* --- A worker that loads -------------------------------------------------------------------------- */

/* A peer that is gone is seen by its end. */
static int tell(struct attempt *a, const struct wire_message *m)
{
	const uint8_t *data;
	size_t n;
	int r = wire_pack(a->scratch, m, &data, &n);

	if (!r)
		r = seqpacket_send(a->fd, data, n, NULL, 0, true);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* It uses no memory ahead of need, and warns of settings that mean nothing. */
static int tell_setup(struct attempt *a)
{
	struct wire_message m = {.type = WIRE_SETUP};
	char device[DEVICE_MAX];

	orders_setup(&m.setup, &a->config->pool);
	m.setup.worker = "check";
	m.setup.device = device_of(a->config, a->v, device);
	m.setup.process = 1;
	m.setup.output_populate_first = 0;
	m.setup.busy_poll_us = 0;
	m.setup.log_level = log_level() < LOG_LEVEL_WARNING ? (uint32_t)log_level()
							    : (uint32_t)LOG_LEVEL_WARNING;
	return tell(a, &m);
}

static int tell_load(struct attempt *a)
{
	const struct pool_model_settings s = version_settings_for_pool(a->v);
	struct wire_message m = {.type = WIRE_LOAD};

	orders_load(&m.load, &s);
	m.load.model = 1;
	m.load.instances = 1;
	return tell(a, &m);
}

static uint32_t max_batch_size(const struct attempt *a, const struct wire_loaded *l)
{
	uint32_t allowed = a->v->max_batch_size == UINT32_MAX
				   ? a->config->dispatch.default_max_batch_size
				   : a->v->max_batch_size;

	return l->max_batch_size < allowed ? l->max_batch_size : allowed;
}

static int take_loaded(struct attempt *a, const struct wire_loaded *l)
{
	if (!l->ok) {
		log_quote(l->error, strlen(l->error), a->why, a->cap);
		return -ENOEXEC;
	}
	a->loaded = declaration_copy(l);
	if (!a->loaded)
		return -ENOMEM;
	a->loaded->max_batch_size = max_batch_size(a, l);
	return 1;
}

static int take_message(struct attempt *a, const struct wire_message *m)
{
	if (m->type == WIRE_HELLO)
		return tell_load(a);
	return m->type == WIRE_LOADED ? take_loaded(a, &m->loaded) : 0;
}

static int take_record(struct attempt *a, size_t n)
{
	const struct wire_message *m;
	size_t used;
	int r = 0;

	for (size_t at = 0; !r && at < n; at += used) {
		r = wire_unpack(a->scratch, a->record + at, n - at, &used, &m);
		if (!r)
			r = take_message(a, m);
	}
	return r;
}

/* Its memory, of which a descriptor may come along, is nothing to us. */
static int hear_messages(struct attempt *a)
{
	size_t n, n_fds;
	int fd = -1;
	int r;

	do {
		n_fds = 0;
		r = seqpacket_recv(a->fd, a->record, WIRE_MESSAGE_MAX, &n, &fd, 1, &n_fds, true);
		if (n_fds > 0 && (!r || r == -EMSGSIZE))
			close(fd);
		if (!r)
			r = take_record(a, n);
	} while (!r);
	/* What its end means is seen when the process has ended. */
	return r == -EAGAIN || r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int converse(struct attempt *a, int *ret_status)
{
	int pair[2];
	int r = seqpacket_pair(pair);

	if (r)
		return r;
	a->fd = pair[0];
	r = seqpacket_set_send_buffer(pair[0], WIRE_MESSAGE_MAX);
	if (!r)
		r = seqpacket_set_send_buffer(pair[1], WIRE_MESSAGE_MAX);
	if (!r)
		r = start_worker(a, pair[1]);
	close(pair[1]);
	if (r)
		return r;
	r = tell_setup(a);
	return finish(a, r ? r : await(a), ret_status);
}

int model_check_load(const struct config *c, const struct version_settings *v,
	struct wire_loaded **ret_loaded, char *why, size_t cap)
{
	_cleanup_(wire_scratch_freep) struct wire_scratch *scratch = NULL;
	_cleanup_(freep) uint8_t *record = malloc(WIRE_MESSAGE_MAX);
	struct attempt a = attempt_at(c, v, why, cap);
	int status = 0;
	int r = record ? wire_scratch_new(&scratch) : -ENOMEM;

	a.hear = hear_messages;
	a.record = record;
	a.scratch = scratch;
	if (c->pool.load_timeout_ms > 0)
		begin(&a, c->pool.start_timeout_ms + c->pool.load_timeout_ms);
	if (!r)
		r = converse(&a, &status);
	if (!r)
		r = ended(&a, "worker", "ended before it was loaded", status);
	r = explain(&a, r < 0 ? r : 0);
	*ret_loaded = a.loaded;
	return r;
}

/* --- Files of warm-ups -------------------------------------------------------------------------- */

static int try_input(
	const struct wire_warmup_input *in, const char *directory, char *text, size_t cap)
{
	_cleanup_(warmup_data_close) struct warmup_data d = {.fd = -1};
	_cleanup_(freep) void *row = NULL;
	int r = warmup_data_open(&d, in, directory, text, cap);

	if (r)
		return r;
	row = malloc(d.bytes + 1);
	return row ? warmup_data_fill(&d, row, text, cap) : -ENOMEM;
}

int model_check_warmups(const struct version_settings *v, char *why, size_t cap)
{
	char text[256];
	int r = 0;

	for (size_t i = 0; !r && i < v->n_warmups; i++) {
		const struct wire_warmup *w = &v->warmups[i];

		for (size_t k = 0; !r && k < w->n_inputs; k++) {
			if (!*w->inputs[k].file)
				continue;
			r = try_input(&w->inputs[k], v->warmup_path, text, sizeof(text));
			if (r == WARMUP_DATA_E_INVALID)
				snprintf(why, cap, "warm-up '%s': input '%s': %s", w->name,
					w->inputs[k].name, text);
		}
	}
	return r == WARMUP_DATA_E_INVALID ? -EINVAL : r;
}
