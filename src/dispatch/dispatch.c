/*
 * dispatch.c: the door: wires arena, models, scheduler and pool together.
 *
 *   OPEN -drain-> DRAINING -no request left-> ENDING -pool and regions gone, populating done-> DRAINED
 *     +------------------kill--------------------^
 *
 * Work is done in dispatch_schedule() alone. Whatever makes some (a request, a free slot, a timer,
 * arena space) calls dispatch_wake(), which keeps the loop from sleeping until it was called.
 *
 * Invariant: n_requests counts requests that are QUEUED, SENT or LEAVING. Daemon process, loop
 * thread.
 */
#include "dispatch/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/model_private.h"

/* Does nothing: that it is active is what counts. */
static void on_idle(uv_idle_t *h)
{
}

void dispatch_wake(struct dispatch *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	uv_idle_start(&d->idle, on_idle);
}

bool dispatch_draining(const struct dispatch *d)
{
	return d->state != DISPATCH_OPEN;
}

/* --- Timers ------------------------------------------------------------------------------- */

static void on_alarm(void *data)
{
	dispatch_wake(data);
}

static void on_wait(uv_timer_t *h)
{
	struct dispatch *d = h->data;

	d->wait_at_ns = CLOCK_NO_DEADLINE;
	dispatch_wake(d);
}

/* A timer that is set for an earlier time is left to go off: looking in vain costs less than setting
 * it anew for every request that passes. */
static void set_wait(struct dispatch *d, uint64_t now_ns)
{
	uint64_t at = d->scheduler.wait_ns;

	if (at >= d->wait_at_ns)
		return;
	d->wait_at_ns = at;
	uv_timer_start(&d->wait, on_wait, clock_ms_until(now_ns, at), 0);
}

static int open_handles(struct dispatch *d, uv_loop_t *loop)
{
	int r = alarm_init(&d->alarm, loop, on_alarm, d);

	if (r)
		return r;
	uv_timer_init(loop, &d->wait);
	uv_idle_init(loop, &d->idle);
	d->wait.data = d;
	d->idle.data = d;
	d->wait_at_ns = CLOCK_NO_DEADLINE;
	d->n_handles = 3;
	return 0;
}

/* --- The pool's events ---------------------------------------------------------------------- */

/* What was waiting for a slot, or for its last request, may go on. */
static void wake_waiting(struct dispatch *d)
{
	if (d->scheduler.n_work > 0 || d->state == DISPATCH_DRAINING)
		dispatch_wake(d);
}

static void on_pool_done(void *data, void *tag, const struct pool_done *done)
{
	struct dispatch *d = data;

	d->activity++;
	scheduler_done(&d->scheduler, tag, done);
	wake_waiting(d);
}

static void on_pool_lost(void *data, void *tag, struct worker *w, bool running)
{
	struct dispatch *d = data;

	scheduler_lost(&d->scheduler, tag, w);
	wake_waiting(d);
}

static void on_pool_credit(void *data)
{
	wake_waiting(data);
}

static void log_model(const struct model *m, bool ready, const char *state)
{
	const char *detail = model_detail(m);
	char quoted[512];

	if (ready)
		log_info("model ready", "model=%s version=%s", m->settings->name,
			m->settings->version);
	else if (!model_declared(m) && model_hopeful(m))
		log_debug("model loading", "model=%s", m->settings->name);
	else
		log_warning("model not ready", "model=%s state=%s detail=%s", m->settings->name,
			state, log_quote(detail, strlen(detail), quoted, sizeof(quoted)));
}

static void on_pool_model(void *data, uint32_t id)
{
	struct dispatch *d = data;
	struct model *m = dispatch_model(d, id);
	bool ready = model_ready(m);
	const char *state = model_state_name(m);

	wake_waiting(d);
	/* Workers that end because all ends are no news. */
	if (d->state >= DISPATCH_ENDING)
		return;
	if (m->announced_state && !strcmp(m->announced_state, state))
		return;
	m->announced_state = state;
	log_model(m, ready, state);
	if (ready == m->announced_ready)
		return;
	m->announced_ready = ready;
	d->events->on_model(d->data, m);
}

static void on_pool_started(void *data)
{
	struct dispatch *d = data;

	d->events->on_started(d->data);
}

/* Called from the loop only. */
static void tell_drained(struct dispatch *d)
{
	if (d->state != DISPATCH_ENDING || !d->pool_drained || d->populate.busy || d->n_regions > 0)
		return;
	assert(d->n_requests == 0);
	d->state = DISPATCH_DRAINED;
	d->events->on_drained(d->data);
}

static void on_pool_drained(void *data)
{
	struct dispatch *d = data;

	d->pool_drained = true;
	tell_drained(d);
}

static void on_populate_idle(void *data)
{
	tell_drained(data);
}

void dispatch_region_gone(struct dispatch *d)
{
	assert(d->n_regions > 0);
	d->n_regions--;
	tell_drained(d);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct model *const *left = a;
	const struct model *const *right = b;

	return strcmp((*left)->settings->name, (*right)->settings->name);
}

/* -EINVAL: two have the same name. */
static int sort_models(struct dispatch *d)
{
	qsort(d->by_name, d->n_models, sizeof(d->by_name[0]), compare_names);
	for (size_t i = 1; i < d->n_models; i++) {
		if (!compare_names(&d->by_name[i - 1], &d->by_name[i]))
			return -EINVAL;
	}
	return 0;
}

static void fill_pool_model(struct pool_model *p, const struct model_settings *s)
{
	*p = (struct pool_model){
		.name = s->name,
		.version = s->version,
		.path = s->path,
		.backend = s->backend,
		.devices = s->devices,
		.max_batch_size = s->max_batch_size,
		.run_timeout_ms = s->run_timeout_ms,
		.parameters = s->parameters,
		.n_parameters = s->n_parameters,
	};
}

static int build_models(struct dispatch *d, const struct model_settings *models, size_t n_models)
{
	if (n_models == 0 || n_models > UINT32_MAX)
		return -EINVAL;
	d->models = calloc(n_models, sizeof(*d->models));
	d->by_name = calloc(n_models, sizeof(struct model *));
	d->pool_models = calloc(n_models, sizeof(*d->pool_models));
	if (!d->models || !d->by_name || !d->pool_models)
		return -ENOMEM;
	d->n_models = n_models;
	for (size_t i = 0; i < n_models; i++) {
		model_init(&d->models[i], d, &models[i], (uint32_t)i);
		d->by_name[i] = &d->models[i];
		fill_pool_model(&d->pool_models[i], &models[i]);
	}
	return sort_models(d);
}

static int build_pool(struct dispatch *d, uv_loop_t *loop, const struct pool_settings *settings)
{
	static const struct pool_events events = {
		.on_done = on_pool_done,
		.on_lost = on_pool_lost,
		.on_credit = on_pool_credit,
		.on_model = on_pool_model,
		.on_started = on_pool_started,
		.on_drained = on_pool_drained,
	};
	const struct arena *a = d->desk.arena;
	int r = pool_new(&d->pool, loop, settings, d->pool_models, d->n_models, arena_fd(a),
		arena_id(a), arena_size(a), &events, d);

	return r ? r : scheduler_init(&d->scheduler, d, settings->slots);
}

int dispatch_new(struct dispatch **ret_dispatch, uv_loop_t *loop,
	const struct dispatch_settings *settings, const struct model_settings *models,
	size_t n_models, const struct pool_settings *pool_settings,
	const struct dispatch_events *events, void *data)
{
	struct dispatch *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->settings = settings;
	d->events = events;
	d->data = data;
	r = build_models(d, models, n_models);
	if (!r)
		r = lease_desk_init(&d->desk, &settings->arena);
	if (!r)
		r = build_pool(d, loop, pool_settings);
	if (!r)
		r = open_handles(d, loop);
	if (r) {
		dispatch_free(d);
		return r;
	}
	populate_init(&d->populate, loop, d->desk.arena, on_populate_idle, d);
	*ret_dispatch = d;
	return 0;
}

int dispatch_start(struct dispatch *d)
{
	int r = pool_start(d->pool);

	if (r)
		return r;
	populate_kick(&d->populate);
	return 0;
}

void dispatch_drain(struct dispatch *d)
{
	if (d->state != DISPATCH_OPEN)
		return;
	d->state = DISPATCH_DRAINING;
	dispatch_wake(d);
}

void dispatch_kill(struct dispatch *d)
{
	if (d->killed || d->state == DISPATCH_DRAINED)
		return;
	d->killed = true;
	d->state = DISPATCH_ENDING;
	scheduler_fail_all(&d->scheduler, clock_ns());
	populate_stop(&d->populate);
	pool_kill(d->pool);
}

/* The last request of a drain is done. */
static void end_drain(struct dispatch *d)
{
	d->state = DISPATCH_ENDING;
	populate_stop(&d->populate);
	pool_drain(d->pool);
}

static void on_closed(uv_handle_t *h)
{
	struct dispatch *d = h->data;

	if (--d->n_handles == 0)
		free(d);
}

static void on_alarm_closed(uv_handle_t *h)
{
	h->data = container_of((struct alarm *)h->data, struct dispatch, alarm);
	on_closed(h);
}

struct dispatch *dispatch_free(struct dispatch *d)
{
	if (!d)
		return NULL;
	assert(d->n_requests == 0 && d->n_clients == 0 && d->n_regions == 0);
	assert(!d->populate.busy && !d->scheduling);
	scheduler_deinit(&d->scheduler);
	for (size_t i = 0; i < d->n_models; i++)
		model_deinit(&d->models[i]);
	pool_free(d->pool);
	lease_desk_deinit(&d->desk);
	free(d->models);
	free(d->by_name);
	free(d->pool_models);
	if (d->n_handles == 0) {
		free(d);
		return NULL;
	}
	alarm_close(&d->alarm, on_alarm_closed);
	uv_close((uv_handle_t *)&d->wait, on_closed);
	uv_close((uv_handle_t *)&d->idle, on_closed);
	return NULL;
}

/* --- What others ask -------------------------------------------------------------------------- */

static int compare_name(const char *name, size_t n, const struct model *m)
{
	int order = strncmp(name, m->settings->name, n);

	return order || !m->settings->name[n] ? order : -1;
}

struct model *dispatch_find_model(struct dispatch *d, const char *name, size_t n)
{
	size_t low = 0;
	size_t high = d->n_models;

	if (n == 0) {
		name = d->settings->default_model;
		n = name ? strlen(name) : 0;
	}
	/* A NUL inside would hide the rest of it. */
	if (n == 0 || memchr(name, 0, n))
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_name(name, n, d->by_name[middle]);

		if (order == 0)
			return d->by_name[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

size_t dispatch_n_models(const struct dispatch *d)
{
	return d->n_models;
}

struct model *dispatch_model(const struct dispatch *d, size_t i)
{
	assert(i < d->n_models);
	return &d->models[i];
}

struct pool *dispatch_pool(const struct dispatch *d)
{
	return d->pool;
}

const struct arena *dispatch_arena(const struct dispatch *d)
{
	return d->desk.arena;
}

uint64_t dispatch_activity(const struct dispatch *d)
{
	return d->activity;
}

uint32_t dispatch_load(const struct dispatch *d)
{
	return d->n_requests;
}

struct model_counters dispatch_counters(const struct dispatch *d)
{
	struct model_counters sum = {0};

	for (size_t i = 0; i < d->n_models; i++) {
		const struct model_counters *c = &d->models[i].counters;

		sum.requests_ok += c->requests_ok;
		sum.requests_failed += c->requests_failed;
		sum.batches += c->batches;
		sum.total_ns += c->total_ns;
	}
	return sum;
}

/* --- Once a loop iteration ------------------------------------------------------------------ */

static void run(struct dispatch *d)
{
	uint64_t now_ns;

	d->dirty = false;
	uv_idle_stop(&d->idle);
	d->scheduling = true;
	lease_desk_serve(&d->desk);
	now_ns = clock_ns();
	scheduler_run(&d->scheduler, now_ns);
	d->scheduling = false;
	alarm_set(&d->alarm, d->scheduler.due_ns);
	set_wait(d, now_ns);
	if (d->state == DISPATCH_DRAINING && d->n_requests == 0)
		end_drain(d);
}

void dispatch_schedule(struct dispatch *d)
{
	assert(!d->scheduling);
	if (d->dirty)
		run(d);
	if (d->desk.grew) {
		d->desk.grew = false;
		populate_kick(&d->populate);
	}
	pool_flush(d->pool);
}
