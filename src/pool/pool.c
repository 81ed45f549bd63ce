/*
 * pool.c: the door: wires workers (roster.c), models, outputs and memories together.
 *
 * One timer does everything that is due: time limits, restarts, breakers, and the callbacks that are
 * owed since some call from outside.
 *
 * Daemon process, loop thread.
 */
#include "pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/device_name.h"
#include "base/err.h"
#include "base/log.h"
#include "pool/blame.h"
#include "pool/disposer.h"
#include "pool/holding.h"
#include "pool/move.h"
#include "pool/own.h"
#include "pool/pool_private.h"
#include "pool/quarantine.h"
#include "pool/recycle.h"
#include "pool/roster.h"
#include "pool/trial.h"
#include "pool/worker_private.h"

#define POOL_WORKERS_MAX 4096u
#define POOL_SLOTS_MAX	 1024u

/* --- The timer ------------------------------------------------------------------------------- */

static void call_back(struct pool *p)
{
	bool up = true;
	bool gone = true;

	pool_tell_models(p);
	memory_table_sweep(&p->memories);
	for (size_t i = 0; i < p->n_workers; i++)
		up = up && (p->workers[i].came_up || !worker_is_used(&p->workers[i]));
	for (size_t i = 0; i < p->n_all; i++)
		gone = gone && p->workers[i].state == WORKER_REAPED;
	if (up && p->started && !p->told_started && !p->draining) {
		p->told_started = true;
		p->events->on_started(p->data);
	}
	if (gone && p->draining && !p->told_drained) {
		p->told_drained = true;
		p->events->on_drained(p->data);
	}
}

static void arm_next(struct pool *p)
{
	for (size_t i = 0; i < p->n_all; i++)
		pool_arm(p, worker_deadline(&p->workers[i]));
	pool_arm(p, pool_breakers_deadline(p));
	pool_arm(p, move_deadline(p));
}

static void on_due(void *data)
{
	struct pool *p = data;
	uint64_t now_ns = clock_ns();

	for (size_t i = 0; i < p->n_workers; i++)
		worker_deliver_lost(&p->workers[i]);
	own_sweep(p);
	move_tick(p, now_ns);
	recycle_tick(p);
	pool_tick_breakers(p, now_ns);
	for (size_t i = 0; i < p->n_all; i++)
		worker_tick(&p->workers[i], now_ns);
	call_back(p);
	arm_next(p);
}

/* --- What workers report ---------------------------------------------------------------------- */

static void on_reaped(struct worker *w)
{
	struct pool_model *passed;

	pool_settle_blame(w);
	passed = w->trial ? trial_end(w) : NULL;
	if (passed && !w->pool->draining)
		pool_trust(passed, w);
}

static void on_loaded(struct worker *w, struct pool_model *m, bool kept)
{
	if (!kept)
		pool_praise(m, w);
	if (w->trial) {
		trial_passed(w, m);
		return;
	}
	if (w->own)
		pool_trust(m, w);
	pool_model_review(m);
}

static void on_answered(struct worker *w, struct pool_model *m)
{
	pool_praise(m, w);
}

static void on_restart(struct worker *w)
{
	int r;

	if (w->trial) {
		trial_start(w);
		return;
	}
	/* A failure was noted, and the next try is planned. */
	r = worker_spawn(w);
	(void)r;
}

static const struct worker_events worker_events = {
	.on_reaped = on_reaped,
	.on_loaded = on_loaded,
	.on_unloaded = recycle_note,
	.on_answered = on_answered,
	.on_restart = on_restart,
};

static void tell_listener(struct worker *w, const struct wire_message *m, int fd)
{
	if (worker_listens(w))
		worker_tell_fd(w, m, fd);
}

/* --- Creation -------------------------------------------------------------------------------- */

static bool settings_fit(const struct pool_settings *s)
{
	const uint64_t limits[] = {s->start_timeout_ms, s->load_timeout_ms,
		s->heartbeat_interval_ms, s->heartbeat_timeout_ms, s->drain_timeout_ms,
		s->backoff_max_ms, s->breaker_window_ms, s->breaker_cooldown_ms,
		s->isolation_return_ms};
	uint64_t n_workers = s->max_model_workers;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (limits[i] > POOL_MS_MAX)
			return false;
	}
	for (size_t i = 0; i < s->n_places; i++) {
		n_workers += s->places[i].count;
		if (strlen(s->places[i].device) + 12 > WORKER_NAME_MAX)
			return false;
	}
	return n_workers <= POOL_WORKERS_MAX && s->slots > 0 && s->slots <= POOL_SLOTS_MAX &&
	       s->max_holds > 0 && s->output_arena_bytes > 0 && s->output_segment_bytes > 0 &&
	       s->breaker_crashes > 0 && s->start_timeout_ms > 0 && s->heartbeat_interval_ms > 0 &&
	       s->heartbeat_timeout_ms > 0 && s->drain_timeout_ms > 0;
}

static void release(struct pool *p)
{
	roster_free(p);
	output_desk_deinit(&p->outputs);
	recycle_deinit(p);
	free(p);
}
DEFINE_CLEANUP(struct pool *, release)

/* Some GPU's worker may have waited for that. */
static void on_looked(uv_async_t *looked)
{
	struct pool *p = looked->data;
	uint64_t now_ns = clock_ns();
	bool any = false;

	for (size_t i = 0; i < p->n_all && !p->draining; i++)
		any |= quarantine_look(&p->workers[i], now_ns);
	if (any)
		pool_soon(p);
}

static int make_handles(struct pool *p)
{
	int r = uv_async_init(p->loop, &p->looked, on_looked);

	if (r)
		return r;
	/* Looking alone keeps no loop alive. */
	uv_unref((uv_handle_t *)&p->looked);
	p->looked.data = p;
	lazy_timer_init(&p->timer, p->loop, on_due, p);
	p->n_handles = 2;
	return 0;
}

/* Limits that nothing holds do not keep the daemon from serving, but they are said. */
static void make_groups(struct pool *p)
{
	char text[GROUPS_DESCRIBED_MAX];
	int r = groups_init(&p->groups, "", &p->settings->limits);

	groups_describe(&p->groups, text);
	if (r == -EOPNOTSUPP)
		log_warning("no control groups for workers: the daemon's own is not delegated to "
			    "it, has no "
			    "controllers for them, or is not of version 2",
			"limits=\"%s\"", text);
	else if (r)
		log_warning("no control groups for workers", "error=\"%s\" limits=\"%s\"",
			err_str(r), text);
	else if (*text)
		log_info("limits of each worker", "limits=\"%s\"", text);
}

/* Strangers to each other are only those that have numbers of their own. */
static void count_users(const struct pool *p)
{
	uint32_t n = p->settings->users.n;

	if (n > 1 && n < p->n_all)
		log_warning("workers will share users: [worker] user has fewer numbers "
			    "than there may be workers",
			"numbers=%" PRIu32 " workers=%zu", n, p->n_all);
}

int pool_new(struct pool **ret_pool, uv_loop_t *loop, const struct pool_settings *settings,
	const struct pool_events *events, void *data)
{
	_cleanup_(releasep) struct pool *p = NULL;
	int r;

	if (!settings_fit(settings))
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->settings = settings;
	p->events = events;
	p->data = data;
	p->random = clock_ns() | 1;
	p->spawn_ms = UINT64_MAX;
	p->worker_events = &worker_events;
	memory_table_init(&p->memories, tell_listener);
	make_groups(p);
	oom_init(&p->oom, "");
	list_init(&p->models);
	list_init(&p->changed);
	for (size_t i = 0; i < POOL_MODEL_BUCKETS; i++)
		list_init(&p->buckets[i]);
	r = roster_make(p);
	if (!r)
		r = output_desk_init(&p->outputs);
	if (r)
		return r;
	count_users(p);
	r = make_handles(p);
	if (r)
		return r;
	*ret_pool = steal_ptr(p);
	return 0;
}

static void close_one(struct pool *p)
{
	if (--p->n_handles == 0)
		release(p);
}

static void on_closed(uv_handle_t *h)
{
	close_one(h->data);
}

static void on_timer_closed(void *data)
{
	close_one(data);
}

struct pool *pool_free(struct pool *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_all; i++)
		assert(p->workers[i].state == WORKER_REAPED);
	assert(p->outputs.n_leases == 0 && list_empty(&p->models));
	memory_table_deinit(&p->memories);
	p->gpus = gpus_free(p->gpus);
	lazy_timer_close(&p->timer, on_timer_closed);
	uv_close((uv_handle_t *)&p->looked, on_closed);
	return NULL;
}

/* --- Life ------------------------------------------------------------------------------------ */

/* On a thread of gpus.h. */
static void say_looked(void *data)
{
	struct pool *p = data;

	(void)uv_async_send(&p->looked);
}

/* Figures of GPUs are not worth failing for. */
static void watch_gpus(struct pool *p)
{
	bool any = false;
	int r;

	for (size_t i = 0; i < p->n_devices; i++)
		any = any || device_name_gpu(p->devices[i]);
	r = any ? gpus_new(&p->gpus, say_looked, p) : 0;
	if (r)
		log_warning("no figures of GPUs", "error=%s", err_str(r));
}

size_t pool_gpus(const struct pool *p, struct nvml_gpu *ret_list, size_t cap)
{
	return gpus_read(p->gpus, ret_list, cap);
}

void pool_set_invite(struct pool *p, int (*invite)(void *data, int *ret_fd), void *data)
{
	p->invite = invite;
	p->invite_data = data;
}

int pool_start(struct pool *p)
{
	bool any = false;

	p->started = true;
	for (size_t i = 0; i < p->n_shared; i++) {
		int r = p->workers[i].resting ? 0 : worker_spawn(&p->workers[i]);

		/* Where none can be executed there is no use in trying again; else there is. */
		if (r && !any) {
			worker_kill(&p->workers[i], POOL_ENDS);
			return r;
		}
		any = true;
	}
	watch_gpus(p);
	pool_soon(p);
	return 0;
}

void pool_drain(struct pool *p)
{
	if (p->draining)
		return;
	p->draining = true;
	p->draining_ns = clock_ns();
	for (size_t i = 0; i < p->n_all; i++)
		worker_drain(&p->workers[i]);
	pool_recount_all(p);
	pool_soon(p);
}

void pool_kill(struct pool *p)
{
	p->draining = true;
	for (size_t i = 0; i < p->n_all; i++)
		worker_kill(&p->workers[i], POOL_ENDS);
	pool_recount_all(p);
	pool_soon(p);
}

void pool_flush(struct pool *p)
{
	output_desk_flush(&p->outputs, worker_send);
	for (size_t i = 0; i < p->n_workers; i++)
		worker_flush(&p->workers[i]);
	burst_end(&p->burst);
}

bool pool_waits_for_more(struct pool *p)
{
	return burst_waits(&p->burst);
}

void pool_dispose(struct pool *p, int fd)
{
	disposer_fd(p->outputs.disposer, fd);
}

bool pool_has_process(const struct pool *p, int pid)
{
	for (size_t i = 0; i < p->n_all; i++) {
		if (worker_pid(&p->workers[i]) == pid)
			return true;
	}
	return false;
}

size_t pool_n_workers(const struct pool *p)
{
	return p->n_workers;
}

size_t pool_max_workers(const struct pool *p)
{
	return p->max_workers;
}

struct worker *pool_worker(const struct pool *p, size_t i)
{
	assert(i < p->max_workers);
	return &p->workers[i];
}
