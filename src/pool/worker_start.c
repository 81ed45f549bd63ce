/*
 * worker_start.c: how a worker begins: its program, what that is started with, and what it is told first.
 *
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/seqpacket.h"
#include "pool/holding.h"
#include "pool/orders.h"
#include "pool/pool_private.h"
#include "pool/program.h"
#include "pool/spawn.h"
#include "pool/user.h"
#include "pool/worker_private.h"

static void send_setup(struct worker *w)
{
	struct wire_message m = {.type = WIRE_SETUP};

	orders_setup(&m.setup, w->pool->settings);
	m.setup.worker = w->name;
	m.setup.device = w->device;
	m.setup.process = w->number;
	m.setup.threads = worker_threads(w);
	m.setup.log_level = (uint32_t)log_level();
	worker_tell(w, &m);
}

/* What may wait for a worker that does not read: a load, and the runs and releases of all slots. */
static size_t queue_max(const struct pool *p)
{
	return (2 * (size_t)p->settings->slots + 16) * WIRE_MESSAGE_MAX;
}

/* Its model's, where it is that one's own and the model's backend has one; NULL: the pool's. */
static const struct pool_program *program_of(const struct worker *w)
{
	return w->own ? w->model->program : NULL;
}

static const char *program_path(const struct worker *w)
{
	const struct pool_program *program = program_of(w);

	return program ? program->argv[0] : w->pool->settings->worker_program;
}

/* What is not modeld-worker may ask for other models. -1: it may not */
static int invite(const struct worker *w)
{
	const struct pool *p = w->pool;
	int fd = -1;
	int r = p->invite ? p->invite(p->invite_data, &fd) : 0;

	if (r)
		log_warning("a worker will not be able to ask other models",
			"worker=%s error=\"%s\"", w->name, err_str(r));
	return fd;
}

/* Of the process that is to be the next. One that would have no limits is not started. */
static int make_group(const struct worker *w, int *ret_fd)
{
	int r = groups_make(&w->pool->groups, w->pool->n_processes + 1, ret_fd);

	if (r)
		log_warning("a worker's control group cannot be made", "worker=%s error=\"%s\"",
			w->name, err_str(r));
	return r;
}

static int start_program(const struct worker *w, int fd, pid_t *ret_pid, int *ret_pidfd)
{
	struct pool *p = w->pool;
	const struct pool_settings *s = p->settings;
	const struct pool_program *program = program_of(w);
	const char *const shared[] = {s->worker_program, NULL};
	struct user_environment sandbox;
	_cleanup_(close_fd) int invitation = program ? invite(w) : -1;
	struct spawn_options o = {.argv = program ? program->argv : shared,
		.device = w->device,
		.channel_fd = fd,
		.handoff_fd = invitation,
		.data_bytes = groups_data_limit(&p->groups),
		.core = s->core,
		.sandbox = user_environment(&sandbox, pool_sandbox(p), &s->users, w->index)};
	_cleanup_(freep) char **environment = NULL;
	_cleanup_(close_fd) int group = -1;
	int r = make_group(w, &group);

	if (!r && w->own)
		r = program_environment(&environment, s, program, w->model->settings, w->device);
	o.environment = (const char *const *)environment;
	o.group_fd = group;
	return r ? r : spawn(&o, ret_pid, ret_pidfd);
}

static int start_process(struct worker *w)
{
	struct pool *p = w->pool;
	_cleanup_(close_fd) int ours = -1;
	_cleanup_(close_fd) int theirs = -1;
	struct channel *channel;
	int pair[2];
	int pidfd;
	pid_t pid;
	int r = seqpacket_pair(pair);

	if (r)
		return r;
	ours = pair[0];
	theirs = pair[1];
	r = seqpacket_set_send_buffer(theirs, WIRE_MESSAGE_MAX);
	if (!r)
		r = channel_new(&channel, p->loop, ours, queue_max(p), &worker_channel_events, w);
	if (r)
		return r;
	steal_fd(&ours);
	r = start_program(w, theirs, &pid, &pidfd);
	if (!r)
		r = process_new(&w->process, p->loop, pid, pidfd, worker_on_exit, w);
	if (r) {
		channel_close(channel);
		return r;
	}
	w->channel = channel;
	return 0;
}

/* Nothing of what its last process has said or done is true of the next one. */
static void forget_last(struct worker *w)
{
	w->restart_at_ns = 0;
	w->restarts += w->started_ns > 0;
	w->bye = false;
	w->parting[0] = '\0';
	w->up = false;
	w->credit = false;
	w->ping_ns = 0;
	w->overran = NULL;
	w->load_overran = false;
	w->beside_load = false;
	w->set_up = false;
	w->alone = false;
	w->next_batch = 1;
	w->done_before = w->done;
}

int worker_spawn(struct worker *w)
{
	struct pool *p = w->pool;
	int r;

	assert(w->state == WORKER_REAPED && w->n_in_flight == 0);
	forget_last(w);
	r = start_process(w);
	if (r) {
		snprintf(w->last_exit, sizeof(w->last_exit), "cannot be started: %s", err_str(r));
		log_warning("worker cannot be started", "worker=%s program=%s error=\"%s\"",
			w->name, program_path(w), err_str(r));
		worker_plan_restart(w);
		pool_recount(p, w);
		pool_soon(p);
		return r;
	}
	w->generation++;
	w->number = ++p->n_processes;
	w->sandbox_width = w->kept_width = p->sandbox_width;
	w->leaves_loads = false;
	worker_set_state(w, WORKER_SPAWNED);
	w->started_ns = w->since_ns;
	log_debug("worker spawned", "worker=%s pid=%d generation=%" PRIu64, w->name, worker_pid(w),
		w->generation);
	send_setup(w);
	if (!w->trial)
		worker_want_all(w);
	pool_recount(p, w);
	pool_arm(p, worker_deadline(w));
	return 0;
}
