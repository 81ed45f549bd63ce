/*
 * dispatch.c: the door: wires arena, versions, scheduler and pool together, and takes requests in.
 *
 *   OPEN -drain-> DRAINING -no request left-> ENDING -pool and regions gone, populating done-> DRAINED
 *     +------------------kill--------------------^
 *
 * Work is done in dispatch_schedule() alone. Whatever makes some (a request, a free slot, a timer,
 * arena space) calls dispatch_wake(), which keeps the loop from sleeping until it was called.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "dispatch/admit.h"
#include "dispatch/batcher.h"
#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/early.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

/* Does nothing: that it is active is what counts. */
static void on_idle(uv_idle_t *h)
{
}

/* Something changed that dispatch_schedule() should look at; it will be called again soon. */
void dispatch_wake(struct dispatch *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	uv_idle_start(&d->idle, on_idle);
}

static void on_desk_wake(void *data)
{
	dispatch_wake(data);
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
	uint64_t at =
		d->scheduler.wait_ns < d->early.wait_ns ? d->scheduler.wait_ns : d->early.wait_ns;

	if (d->demands.wait_ns < at)
		at = d->demands.wait_ns;
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
	watchdog_init(&d->watchdog, loop, &d->scheduler, on_desk_wake, d);
	uv_idle_init(loop, &d->idle);
	d->wait.data = d;
	d->idle.data = d;
	d->wait_at_ns = CLOCK_NO_DEADLINE;
	uv_timer_init(loop, &d->input.timer);
	d->input.timer.data = d;
	overdue_init(&d->overdue, loop, &d->catalogue, &d->scheduler);
	d->n_handles = 6;
	return 0;
}

/* --- The pool's events ---------------------------------------------------------------------- */

/* What was waiting for a slot, or for its last request, may go on. */
static void wake_waiting(struct dispatch *d)
{
	if (d->scheduler.n_work > 0 || d->early.changed || d->state == DISPATCH_DRAINING)
		dispatch_wake(d);
}

/* Something has happened to some version. */
static void note_version(struct dispatch *d)
{
	d->early.changed = !list_empty(&d->early.requests);
	wake_waiting(d);
}

static void on_pool_done(void *data, void *tag, const struct pool_done *done)
{
	struct dispatch *d = data;

	d->tally.activity++;
	scheduler_done(&d->scheduler, tag, done);
	wake_waiting(d);
}

static void on_pool_partial(void *data, void *tag, const struct pool_partial *partial)
{
	struct dispatch *d = data;

	d->tally.activity++;
	scheduler_partial(&d->scheduler, tag, partial);
}

static void on_pool_lost(void *data, void *tag, struct worker *w, enum lost how)
{
	struct dispatch *d = data;

	scheduler_lost(&d->scheduler, tag, w, how);
	wake_waiting(d);
}

static void on_pool_credit(void *data)
{
	wake_waiting(data);
}

static void on_pool_model(void *data, void *owner)
{
	struct dispatch *d = data;

	note_version(d);
	/* Workers that end because all ends are no news. */
	if (d->state >= DISPATCH_ENDING)
		return;
	catalogue_note(&d->catalogue, owner);
	if (d->events->on_version_note)
		d->events->on_version_note(d->data, owner);
}

static void on_pool_model_gone(void *data, void *owner)
{
	struct dispatch *d = data;

	if (d->events->on_version_gone)
		d->events->on_version_gone(d->data, owner);
	catalogue_gone(&d->catalogue, owner);
}

/* The catalogue's. */
static void on_version_change(void *data, struct version *v)
{
	struct dispatch *d = data;

	note_version(d);
	if (d->started)
		d->events->on_version(d->data, v);
}

static void on_pool_started(void *data)
{
	struct dispatch *d = data;

	d->events->on_started(d->data);
}

/* Called from the loop only. */
static void tell_drained(void *data)
{
	struct dispatch *d = data;

	if (d->state != DISPATCH_ENDING || !d->pool_drained || d->populate.busy ||
		d->regions.n > 0 || d->input.n_leaving > 0)
		return;
	assert(d->tally.n_requests == 0);
	d->state = DISPATCH_DRAINED;
	d->events->on_drained(d->data);
}

static void on_pool_drained(void *data)
{
	struct dispatch *d = data;

	d->pool_drained = true;
	tell_drained(d);
}

static void on_populated(void *data)
{
	struct dispatch *d = data;

	lease_desk_populated(&d->desk);
}

/* There may be room in the arena now for a segment of another size. */
static void on_input_left(void *data)
{
	struct dispatch *d = data;

	lease_desk_populated(&d->desk);
	tell_drained(d);
}

/* The demands'. */
static bool on_demand(void *data, const char *name)
{
	struct dispatch *d = data;

	return d->started && d->events->on_demand(d->data, name);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int build_pool(struct dispatch *d, uv_loop_t *loop, const struct pool_settings *settings)
{
	static const struct pool_events events = {
		.on_done = on_pool_done,
		.on_partial = on_pool_partial,
		.on_lost = on_pool_lost,
		.on_credit = on_pool_credit,
		.on_model = on_pool_model,
		.on_model_gone = on_pool_model_gone,
		.on_started = on_pool_started,
		.on_drained = on_pool_drained,
	};
	int r = pool_new(&d->pool, loop, settings, &events, d);

	if (r)
		return r;
	catalogue_init(
		&d->catalogue, d->pool, d->settings->default_max_batch_size, on_version_change, d);
	d->regions = (struct region_desk){.pool = d->pool, .on_gone = tell_drained, .data = d};
	return scheduler_init(&d->scheduler, d->pool, settings->slots, d->settings);
}

static int build_versions(
	struct dispatch *d, const struct version_settings *settings, size_t n_versions)
{
	struct version *v;
	int r = 0;

	for (size_t i = 0; !r && i < n_versions; i++)
		r = catalogue_add(&d->catalogue, &settings[i], NULL, &v);
	return r == -EEXIST ? -EINVAL : r;
}

int dispatch_new(struct dispatch **ret_dispatch, uv_loop_t *loop,
	const struct dispatch_settings *settings, const struct version_settings *versions,
	size_t n_versions, const struct pool_settings *pool_settings,
	const struct dispatch_events *events, void *data)
{
	struct dispatch *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->settings = settings;
	d->events = events;
	d->data = data;
	early_init(&d->early, settings->retry_wait_ms, on_desk_wake, d);
	demands_init(&d->demands, settings->retry_wait_ms, settings->max_requests_per_client,
		events->on_demand ? on_demand : NULL, on_desk_wake, d);
	r = dispatch_set_default(d, settings->default_model);
	if (!r)
		r = build_pool(d, loop, pool_settings);
	if (!r)
		r = input_arena_init(&d->input, loop, d->pool, &settings->arena, on_input_left, d);
	if (!r)
		r = build_versions(d, versions, n_versions);
	if (!r)
		r = open_handles(d, loop);
	if (r) {
		dispatch_free(d);
		return r;
	}
	lease_desk_init(&d->desk, d->input.arena, on_desk_wake, d);
	output_share_init(&d->tally.outputs, pool_settings->output_arena_bytes, on_desk_wake, d);
	populate_init(&d->populate, loop, d->input.arena, on_populated, tell_drained, d);
	*ret_dispatch = d;
	return 0;
}

int dispatch_start(struct dispatch *d)
{
	int r = pool_start(d->pool);

	if (r)
		return r;
	d->started = true;
	populate_kick(&d->populate);
	return 0;
}

void dispatch_drain(struct dispatch *d)
{
	if (d->state != DISPATCH_OPEN)
		return;
	d->state = DISPATCH_DRAINING;
	d->early.closed = d->demands.closed = true;
	scheduler_drain(&d->scheduler);
	dispatch_wake(d);
}

void dispatch_kill(struct dispatch *d)
{
	if (d->killed || d->state == DISPATCH_DRAINED)
		return;
	d->killed = true;
	d->state = DISPATCH_ENDING;
	scheduler_drain(&d->scheduler);
	scheduler_fail_all(&d->scheduler, clock_ns());
	d->early.closed = d->demands.closed = true;
	early_run(&d->early, 0);
	demands_run(&d->demands, 0);
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
	dispatch_close_accounts(d);
	assert(!d->populate.busy && !d->scheduling && d->regions.n == 0);
	scheduler_deinit(&d->scheduler);
	catalogue_deinit(&d->catalogue);
	lease_desk_deinit(&d->desk);
	input_arena_deinit(&d->input);
	pool_free(d->pool);
	free(d->default_model);
	if (d->n_handles == 0) {
		free(d);
		return NULL;
	}
	alarm_close(&d->alarm, on_alarm_closed);
	uv_close((uv_handle_t *)&d->wait, on_closed);
	d->watchdog.timer.data = d->overdue.timer.data = d;
	watchdog_close(&d->watchdog, on_closed);
	overdue_close(&d->overdue, on_closed);
	uv_close((uv_handle_t *)&d->idle, on_closed);
	uv_close((uv_handle_t *)&d->input.timer, on_closed);
	return NULL;
}

/* --- Once a loop iteration ------------------------------------------------------------------ */

static void run(struct dispatch *d)
{
	uint64_t now_ns;

	d->dirty = false;
	d->scheduling = true;
	lease_desk_serve(&d->desk);
	batcher_bring_back(&d->tally.outputs);
	now_ns = clock_ns();
	early_run(&d->early, now_ns);
	demands_run(&d->demands, now_ns);
	scheduler_run(&d->scheduler, now_ns);
	d->scheduling = false;
	alarm_set(&d->alarm, d->scheduler.due_ns);
	set_wait(d, now_ns);
	if (d->state == DISPATCH_DRAINING && d->tally.n_requests == 0)
		end_drain(d);
}

static void flush(struct dispatch *d)
{
	if (pool_waits_for_more(d->pool)) {
		uv_idle_start(&d->idle, on_idle);
		return;
	}
	pool_flush(d->pool);
	if (!d->dirty)
		uv_idle_stop(&d->idle);
}

void dispatch_schedule(struct dispatch *d)
{
	assert(!d->scheduling);
	if (d->dirty)
		run(d);
	watchdog_turn(&d->watchdog, d->scheduler.n_work > 0);
	overdue_turn(&d->overdue, d->tally.n_requests > 0);
	catalogue_sweep(&d->catalogue);
	if (d->desk.grew) {
		d->desk.grew = false;
		populate_kick(&d->populate);
		input_arena_kick(&d->input);
	}
	flush(d);
}
