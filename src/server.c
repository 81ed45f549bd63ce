/*
 * server.c: the composition root: owns the loop, the signals and the order of start and end.
 *
 *   STARTING -workers up-> SERVING -SIGTERM-> DRAINING -frontend and handoff, then dispatch-> STOPPED
 *                                                +-- shortly before drain_timeout_s: work is ended
 *                                                +-- second signal | drain_timeout_s: all is killed
 *
 * STOPPED is reached only when all are drained: nothing of theirs may be freed before.
 * Once a loop iteration, before and after polling, move() moves what was produced: batches
 * to workers first, then bytes to sockets. Daemon process, main thread.
 */
#include "server_private.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/log_ring.h"
#include "base/spool.h"
#include "dispatch/dispatch.h"
#include "handoff/handoff.h"
#include "metrics/metrics.h"
#include "models/lifecycle.h"
#include "orphans.h"
#include "services/frontend.h"

static void move(void *data)
{
	struct server *s = data;

	lifecycle_flush(s->lifecycle);
	dispatch_schedule(s->dispatch);
	handoff_flush(s->handoff);
	frontend_flush(s->frontend);
}

static bool is_worker(void *data, pid_t pid)
{
	return pool_has_process(dispatch_pool(((struct server *)data)->dispatch), pid);
}

static void on_child(uv_signal_t *h, int number)
{
	struct server *s = h->data;

	s->look_for_orphans = true;
}

static void look_for_orphans(void *data)
{
	struct server *s = data;

	/* A worker that has ended and hides others is waited for in one of the next turns. */
	if (s->look_for_orphans)
		s->look_for_orphans = orphans_reap(is_worker, s);
}

static uint64_t activity(void *data)
{
	return dispatch_activity(((struct server *)data)->dispatch);
}

static uint64_t lone_ns(void *data)
{
	return dispatch_lone_ns(((struct server *)data)->dispatch);
}

static void on_version(void *data, struct version *v)
{
	struct server *s = data;

	frontend_model_changed(s->frontend, v);
}

static void on_version_note(void *data, struct version *v)
{
	struct server *s = data;

	lifecycle_note(s->lifecycle, v);
}

static void on_version_gone(void *data, struct version *v)
{
	struct server *s = data;

	lifecycle_gone(s->lifecycle, v);
}

static bool on_demand(void *data, const char *name)
{
	return lifecycle_demand(((struct server *)data)->lifecycle, name);
}

static void on_started(void *data)
{
	struct server *s = data;
	uint32_t ready = 0;
	size_t n = dispatch_n_versions(s->dispatch);
	bool succeeds = succession_has_predecessor(&s->succession);
	const struct doors doors = server_doors(s);

	if (s->state != SERVER_STARTING || (succeeds && !server_succeed(s)))
		return;
	s->state = SERVER_SERVING;
	for (size_t i = 0; i < n; i++)
		ready += version_ready(dispatch_version(s->dispatch, i));
	frontend_set_serving(s->frontend, true);
	log_info("ready", "models_ready=%u models=%zu start_ms=%llu", ready, n,
		(unsigned long long)((clock_ns() - s->started_ns) / NS_PER_MS));
	if (!succeeds) {
		doors_store(&doors);
		manager_tell(&s->manager, "READY=1\nSTATUS=serving", false);
	}
}

static void stop_if_drained(struct server *s)
{
	if (!s->frontend_drained || !s->handoff_drained || !s->dispatch_drained)
		return;
	s->state = SERVER_STOPPED;
	uv_stop(&s->loop);
}

/* No more requests come. */
static void drain_dispatch(struct server *s)
{
	if (s->frontend_drained && s->handoff_drained && !s->killed && !s->ending)
		dispatch_drain(s->dispatch);
	stop_if_drained(s);
}

static void on_frontend_drained(void *data)
{
	struct server *s = data;

	log_debug("frontend drained", "killed=%d", s->killed);
	s->frontend_drained = true;
	handoff_dismiss(s->handoff);
	drain_dispatch(s);
}

static void on_handoff_drained(void *data)
{
	struct server *s = data;

	log_debug("handoff drained", "killed=%d", s->killed);
	s->handoff_drained = true;
	drain_dispatch(s);
}

static void on_dispatch_drained(void *data)
{
	struct server *s = data;

	s->dispatch_drained = true;
	stop_if_drained(s);
}

static void on_signal(uv_signal_t *h, int number)
{
	struct server *s = h->data;

	log_info("signal", "signal=SIG%s state=%s calls=%u", sigabbrev_np(number),
		server_state_name(s->state), frontend_n_calls(s->frontend));
	if (s->state == SERVER_DRAINING)
		server_kill(s);
	else if (s->state != SERVER_STOPPED)
		server_drain(s);
}

static void on_hangup(uv_signal_t *h, int number)
{
	struct server *s = h->data;

	log_info("signal", "signal=SIGHUP state=%s", server_state_name(s->state));
	lifecycle_reload_all(s->lifecycle, NULL);
}

static void on_usr2(uv_signal_t *h, int number)
{
	server_begin_succession(h->data);
}

static const struct {
	int number;
	void (*act)(uv_signal_t *h, int number);
} signal_actions[N_SIGNALS] = {
	{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_hangup}, {SIGUSR2, on_usr2}};

static int open_loop(struct server *s)
{
	static const struct turn_events turn_events = {
		.move = move, .rest = look_for_orphans, .activity = activity, .lone_ns = lone_ns};
	const struct config *c = s->config;
	/* On a single one the worker cannot run while the daemon looks whether it has. */
	uint32_t lone_poll_us = c->pool.processors > 1 ? c->lone_poll_us : 0;
	int r = uv_loop_init(&s->loop);

	if (r)
		return r;
	s->loop_open = true;
	turn_init(&s->turn, &s->loop, c->pool.busy_poll_us, lone_poll_us, &turn_events, s);
	uv_timer_init(&s->loop, &s->drain_timer);
	s->drain_timer.data = s->child.data = s;
	r = manager_init(&s->manager, &s->loop);
	if (!r)
		r = succession_init(&s->succession, &s->loop, &server_succession_events, s);
	if (!r)
		r = uv_signal_init(&s->loop, &s->child);
	if (!r)
		r = uv_signal_start(&s->child, on_child, SIGCHLD);
	if (r)
		return r;
	s->look_for_orphans = true; /* those that ended before */
	for (size_t i = 0; i < N_SIGNALS; i++) {
		r = uv_signal_init(&s->loop, &s->signals[i]);
		if (r)
			return r;
		s->signals[i].data = s;
		r = uv_signal_start(
			&s->signals[i], signal_actions[i].act, signal_actions[i].number);
		if (r)
			return r;
	}
	return 0;
}

static int cannot(const char *what, int error)
{
	log_error("cannot start", "what=\"%s\" error=%s", what, err_str(error));
	return SERVER_EXIT_OS;
}

/* Ahead of workers, which are told where they may read. */
static void open_spool(struct server *s)
{
	const struct config *c = s->config;
	int r;

	if (!c->upload_dir) {
		if (c->upload_root)
			spool_sweep(c->upload_root);
		return;
	}
	r = spool_open(&s->spool, c->upload_dir, c->max_upload_bytes);

	if (!r && c->pool.users.n > 0)
		r = spool_share(s->spool, c->pool.users.gid);
	if (r) {
		s->spool = spool_close(s->spool);
		log_warning("files of models cannot be taken", "path=%s error=%s", c->upload_dir,
			err_str(r));
	}
}

/* A reload has read which repositories there are. */
static void set_sandbox(void *data, const char *const *sandbox, bool wider)
{
	const struct server *s = data;
	int r = pool_set_sandbox(dispatch_pool(s->dispatch), sandbox, wider);

	if (r)
		log_warning("workers cannot be told which repositories there are now", "error=%s",
			err_str(r));
}

/* Steals the repository. */
static int build_dispatch(struct server *s, struct repository *repository)
{
	static const struct dispatch_events dispatch_events = {
		.on_version = on_version,
		.on_version_note = on_version_note,
		.on_version_gone = on_version_gone,
		.on_demand = on_demand,
		.on_started = on_started,
		.on_drained = on_dispatch_drained,
	};
	int r = dispatch_new(&s->dispatch, &s->loop, &s->config->dispatch, NULL, 0,
		&s->config->pool, &dispatch_events, s);

	if (!r)
		r = lifecycle_new(&s->lifecycle, &s->loop, &s->config->models, &s->source.lifecycle,
			s->dispatch);
	if (!r) {
		models_source_tell(&s->source, set_sandbox, s);
		lifecycle_begin(s->lifecycle, repository);
		return 0;
	}
	repository_free(repository);
	return cannot("set up the input arena and the workers", r);
}

/* Without it modeld serves all the same. */
static void build_tracer(struct server *s)
{
	const struct trace_settings *settings = &s->config->trace;
	int r;

	if (!settings->endpoint[0])
		return;
	r = tracer_new(&s->tracer, settings);
	if (r == -ENOENT)
		log_warning("nothing is traced: there is no libcurl.so.4", "endpoint=%s",
			settings->endpoint);
	else if (r)
		log_warning("nothing is traced", "endpoint=%s error=%s", settings->endpoint,
			err_str(r));
	frontend_set_tracer(s->frontend, s->tracer);
	handoff_set_tracer(s->handoff, s->tracer);
}

static int build_metrics(struct server *s)
{
	const struct metrics_sources sources = {
		.dispatch = s->dispatch,
		.frontend = s->frontend,
		.handoff = s->config->handoff.socket ? s->handoff : NULL,
		.turns = turn_time(&s->turn),
		.polls = turn_polls(&s->turn),
		.n_polls = TURN_N_SOUGHT,
		.started_ns = s->started_ns,
		.tracer = s->tracer,
	};
	int r = 0;

	if (s->config->metrics.listen[0])
		r = metrics_new(&s->metrics, &s->loop, &s->config->metrics, &sources);
	return r ? cannot("set up metrics", r) : 0;
}

/* Models that ask other models are clients of the daemon, too. */
static int invite(void *data, int *ret_fd)
{
	return handoff_invite(((struct server *)data)->handoff, ret_fd);
}

static int build(struct server *s, struct repository *repository)
{
	static const struct handoff_events handoff_events = {.on_drained = on_handoff_drained};
	static const struct frontend_events frontend_events = {.on_drained = on_frontend_drained};
	const struct config *c = s->config;
	int r;

	open_spool(s);
	r = build_dispatch(s, repository);
	if (r)
		return r;
	r = handoff_new(&s->handoff, &s->loop, &c->handoff, s->dispatch, &handoff_events, s);
	if (r)
		return cannot("set up the handoff", r);
	r = frontend_new(&s->frontend, &s->loop, &c->frontend, s->dispatch, &frontend_events, s);
	if (r)
		return cannot("set up the frontend", r);
	pool_set_invite(dispatch_pool(s->dispatch), invite, s);
	if (c->handoff.socket)
		frontend_set_handoff(s->frontend, s->handoff);
	frontend_set_lifecycle(s->frontend, s->lifecycle);
	frontend_set_spool(s->frontend, s->spool);
	build_tracer(s);
	frontend_set_log(s->frontend, s->log);
	frontend_set_polls(s->frontend, turn_polls(&s->turn), TURN_N_SOUGHT);
	return build_metrics(s);
}

/* From here on. What was logged before is in no memory. */
static int keep_log(struct server *s)
{
	int r = s->config->log_keep_bytes ? log_ring_new(&s->log, s->config->log_keep_bytes) : 0;

	if (s->log)
		log_tap(log_ring_add, s->log);
	return r ? cannot("keep lines of the log", r) : 0;
}

int server_new(
	struct server **ret_server, const struct config *config, struct repository *repository)
{
	_cleanup_(server_freep) struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		repository_free(repository);
		return SERVER_EXIT_OS;
	}
	s->config = config;
	models_source_init(&s->source, config);
	s->started_ns = clock_ns();
	r = open_loop(s);
	if (r) {
		repository_free(repository);
		return cannot("start the event loop", r);
	}
	r = keep_log(s);
	if (r)
		repository_free(repository);
	else
		r = build(s, repository);
	if (!r)
		*ret_server = steal_ptr(s);
	return r;
}

void server_set_command(struct server *s, const char *program, char *const *argv)
{
	s->program = program;
	s->argv = argv;
}

void server_set_source(struct server *s, const struct config_source *source)
{
	models_source_set(&s->source, source);
}

/* Workers first: they are spawned before any socket of the daemon's exists. */
static int start(struct server *s)
{
	const struct doors doors = server_doors(s);
	char text[512];
	int r = dispatch_start(s->dispatch);

	if (r) {
		log_error("cannot start the workers", "program=%s error=%s",
			s->config->pool.worker_program, err_str(r));
		return SERVER_EXIT_OS;
	}
	r = s->metrics ? metrics_listen(s->metrics, text, sizeof(text)) : 0;
	if (r) {
		log_error("cannot listen", "%s", text);
		return r == -EINVAL ? SERVER_EXIT_CONFIG : SERVER_EXIT_OS;
	}
	/* Who takes another daemon's place listens when it can serve. */
	r = succession_has_predecessor(&s->succession) ? 0 : doors_open(&doors);
	if (r)
		return r;
	turn_start(&s->turn);
	return 0;
}

int server_run(struct server *s)
{
	int r = start(s);

	if (r)
		server_give_up(s, r);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert(s->state == SERVER_STOPPED);
	log_info("stopped", "exit=%d", s->exit_code);
	return s->exit_code;
}

static void close_handle(uv_handle_t *h)
{
	if (h->type && !uv_is_closing(h))
		uv_close(h, NULL);
}

struct server *server_free(struct server *s)
{
	if (!s)
		return NULL;
	if (s->lifecycle)
		lifecycle_stop(s->lifecycle);
	if (!s->loop_open) {
		free(s);
		return NULL;
	}
	/* First: move() needs what is freed next. */
	turn_close(&s->turn);
	close_handle((uv_handle_t *)&s->drain_timer);
	manager_close(&s->manager);
	succession_close(&s->succession);
	close_handle((uv_handle_t *)&s->child);
	for (size_t i = 0; i < N_SIGNALS; i++)
		close_handle((uv_handle_t *)&s->signals[i]);
	metrics_free(s->metrics);
	frontend_free(s->frontend);
	tracer_free(s->tracer);
	handoff_free(s->handoff);
	/* Its connections refund what they were charged when they are closed. */
	uv_run(&s->loop, UV_RUN_NOWAIT);
	dispatch_free(s->dispatch);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&s->loop))
		log_warning("handles were left open", "state=%s", server_state_name(s->state));
	lifecycle_free(s->lifecycle);
	spool_close(s->spool);
	models_source_release(&s->source);
	if (s->log)
		log_tap(NULL, NULL);
	log_ring_free(s->log);
	free(s);
	return NULL;
}
