/*
 * attempt.c: a process that is started, heard and ended. Daemon process, before it serves.
 */
#include "attempt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
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
#include "pool/orders.h"
#include "pool/pool.h"
#include "pool/program.h"
#include "pool/spawn.h"
#include "pool/user.h"

#define DEVICE_MAX 128u

void attempt_init(struct attempt *a, const struct config *c, const struct version_settings *v,
	char *why, size_t cap)
{
	*a = (struct attempt){.config = c,
		.v = v,
		.pidfd = -1,
		.fd = -1,
		.until_ns = CLOCK_NO_DEADLINE,
		.why = why,
		.cap = cap};
}

void attempt_limit(struct attempt *a, uint64_t limit_ms)
{
	if (limit_ms > 0)
		a->until_ns = clock_ns() + limit_ms * NS_PER_MS;
}

/* The first that it is for; what is for no model needs no device of its own. */
static const char *device_of(const struct attempt *a, char *out)
{
	const char *all = !a->v ? "cpu:0" : a->config->pool.places[0].device;

	if (a->v && a->v->devices)
		all = a->v->devices;
	if (a->device)
		all = a->device;
	snprintf(out, DEVICE_MAX, "%.*s", (int)strcspn(all, ", "), all);
	return out;
}

int attempt_start(struct attempt *a, const struct pool_program *p, const char *const *argv, int fd)
{
	const struct pool_settings *pool = &a->config->pool;
	struct pool_model_settings m;
	_cleanup_(freep) char **environment = NULL;
	struct user_environment user;
	char device[DEVICE_MAX];
	/* As workers are: what they may not read fails here, too. Who is not root only asks for the one who is. */
	struct spawn_options o = {.argv = argv,
		.device = device_of(a, device),
		.sandbox = geteuid() == 0 ? user_environment(&user, pool->sandbox, &pool->users, 0)
					  : pool->sandbox,
		.channel_fd = fd};
	int r = 0;

	if (p) {
		m = version_settings_for_pool(a->v);
		r = program_environment(&environment, pool, p, &m, device);
	}
	if (r)
		return r;
	o.environment = (const char *const *)environment;
	return spawn(&o, &a->pid, &a->pidfd);
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

/* It leads a group, which ends with it. */
int attempt_finish(struct attempt *a, int r, int *ret_status)
{
	if (!r)
		r = await(a);
	kill(-a->pid, SIGKILL);
	return waitpid(a->pid, ret_status, 0) == a->pid || r ? r : -errno;
}

int attempt_ended(struct attempt *a, const char *what, const char *why_not, int status)
{
	if (WIFSIGNALED(status))
		snprintf(a->why, a->cap, "its %s ended by signal %d", what, WTERMSIG(status));
	else
		snprintf(a->why, a->cap, "its %s %s (exit status %d)%s%s", what, why_not,
			WEXITSTATUS(status), *a->parting ? ": " : "", a->parting);
	return -ENOEXEC;
}

int attempt_end(struct attempt *a, int r)
{
	if (r == -ETIMEDOUT)
		snprintf(a->why, a->cap, "it was not loaded within [worker] load_timeout_ms");
	else if (r && r != -ENOEXEC)
		snprintf(a->why, a->cap, "it cannot be tried: %s", err_str(r));
	close_fd(&a->pidfd);
	close_fd(&a->fd);
	return r;
}

/* --- A worker ------------------------------------------------------------------------------------- */

/* A peer that is gone is seen by its end. */
int attempt_tell(struct attempt *a, const struct wire_message *m)
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
	m.setup.device = device_of(a, device);
	m.setup.process = 1;
	m.setup.output_populate_first = 0;
	m.setup.busy_poll_us = 0;
	m.setup.log_level = log_level() < LOG_LEVEL_WARNING ? (uint32_t)log_level()
							    : (uint32_t)LOG_LEVEL_WARNING;
	return attempt_tell(a, &m);
}

static int take_record(struct attempt *a, size_t n)
{
	const struct wire_message *m;
	size_t used;
	int r = 0;

	for (size_t at = 0; !r && at < n; at += used) {
		r = wire_unpack(a->scratch, a->record + at, n - at, &used, &m);
		if (!r && m->type == WIRE_BYE)
			log_quote(m->bye.reason, strlen(m->bye.reason), a->parting,
				sizeof(a->parting));
		else if (!r)
			r = a->take(a, m);
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

/* The worker's program, where the backend of a model has none of its own. */
static int start_worker(struct attempt *a, int fd)
{
	const struct pool_program *p = a->v ? program_find(&a->config->pool, a->v->backend) : NULL;
	const char *const shared[] = {a->config->pool.worker_program, NULL};

	return attempt_start(a, p, p ? p->argv : shared, fd);
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
	return attempt_finish(a, r, ret_status);
}

int attempt_converse(struct attempt *a, int *ret_status)
{
	_cleanup_(wire_scratch_freep) struct wire_scratch *scratch = NULL;
	_cleanup_(freep) uint8_t *record = malloc(WIRE_MESSAGE_MAX);
	int r = record ? wire_scratch_new(&scratch) : -ENOMEM;

	a->hear = hear_messages;
	a->record = record;
	a->scratch = scratch;
	if (!r)
		r = converse(a, ret_status);
	a->record = NULL;
	a->scratch = NULL;
	return r;
}
