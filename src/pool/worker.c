/*
 * worker.c: one worker seen from here, until its end: why trust in it ends, its exit, and what is owed then.
 * (worker_start.c is how a process begins.)
 *
 * Invariants: channel is open in all states but LOST and REAPED; process is set in all but REAPED;
 * output is set from hello until reaped. Batches are in flight in LOADING, READY, DRAINING and LOST only
 * (and in REAPED until the loop's next turn has handed them back); n_in_flight <= slots. Whatever the
 * process could still write to or read from is let go of only when it was reaped.
 *
 * Trust ends in one function, worker_lose(); it calls nobody back, so it may be called from
 * anywhere. What is owed to the caller then (on_lost, on_model) comes from the pool's timer.
 *
 * Daemon process, loop thread.
 */
#include "pool/worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/back_off.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/quarantine.h"
#include "pool/worker_private.h"
#include "proto/worker_exit.h"

/* So long READY, or so many batches, and earlier ends are forgiven. */
#define HEALTHY_NS	(UINT64_C(10) * NS_PER_S)
#define HEALTHY_BATCHES 256u

/* So many ends in a row are followed by a start at once. More where it was READY: others wait for the next one, and a
 * model that ends it again and again is kept away by its breaker, or has a process of its own by then. */
#define AT_ONCE_READY	4u
#define AT_ONCE_STARTED 1u

int worker_init(struct worker *w, struct pool *p, uint32_t index, const char *device,
	uint32_t device_index, const char *name)
{
	size_t n = (size_t)p->settings->slots + 1;

	w->pool = p;
	w->index = index;
	w->device = device;
	w->device_index = device_index;
	w->state = WORKER_REAPED;
	snprintf(w->name, sizeof(w->name), "%s/%s", device, name);
	list_init(&w->spare);
	list_init(&w->in_flight);
	list_init(&w->busy);
	list_init(&w->to_load);
	w->flights = calloc(n, sizeof(*w->flights));
	if (!w->flights)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list_push_back(&w->spare, &w->flights[i].node);
	return 0;
}

void worker_deinit(struct worker *w)
{
	assert(!w->process && !w->channel && !w->output);
	assert(w->n_in_flight == 0);
	for (size_t i = 0; w->flights && i <= w->pool->settings->slots; i++)
		flight_deinit(&w->flights[i]);
	free(w->flights);
	free(w->holding);
}

/* --- The end of trust ------------------------------------------------------------------------ */

/* The model that is to blame if the process ends now: the one that runs or is loaded. Where several are,
 * it is nobody, until one of them, run again alone, does it again. */
static struct pool_model *suspect_of(const struct worker *w)
{
	if (w->overran)
		return w->overran->model;
	if (w->load_overran)
		return w->loading;
	if (w->n_busy + (w->loading != NULL) != 1)
		return NULL;
	return w->loading ? w->loading
			  : lane_front(list_entry(w->busy.next, struct pool_lane, node))->model;
}

/* Lanes go with the process. */
static void clear_lanes(struct worker *w)
{
	list_for_each (&w->in_flight, node)
		worker_leave_lane(w, list_entry(node, struct flight, node), 0);
	assert(w->n_busy == 0 && w->backlog.n == 0);
}

static void forgive(struct worker *w, uint64_t now_ns)
{
	if (!w->up)
		return;
	if (now_ns - w->up_since_ns >= HEALTHY_NS || w->done - w->done_before >= HEALTHY_BATCHES)
		w->failures = 0;
}

static void end_trust(struct worker *w, enum worker_verdict verdict)
{
	forgive(w, clock_ns());
	w->verdict = verdict;
	w->suspect = suspect_of(w);
	w->was_loading = w->overran ? NULL : w->loading;
	w->beside_load = w->was_loading != NULL;
	clear_lanes(w);
	worker_set_state(w, WORKER_LOST);
	process_kill(w->process);
	w->channel = channel_close(w->channel);
	if (w->output)
		output_memory_mute(w->output);
	pool_recount(w->pool, w);
	pool_soon(w->pool);
}

void worker_lose(struct worker *w, enum worker_verdict verdict, const char *format, ...)
{
	va_list args;

	if (w->state == WORKER_LOST || w->state == WORKER_REAPED)
		return;
	w->loss[0] = '\0';
	if (format) {
		va_start(args, format);
		vsnprintf(w->loss, sizeof(w->loss), format, args);
		va_end(args);
		log_warning("worker killed", "worker=%s pid=%d in_flight=%" PRIu32 " why=\"%s\"",
			w->name, worker_pid(w), w->n_in_flight, w->loss);
	}
	end_trust(w, verdict);
}

void worker_kill(struct worker *w, const char *why)
{
	w->restart_at_ns = 0;
	if (w->state == WORKER_LOST || w->state == WORKER_REAPED)
		return;
	snprintf(w->loss, sizeof(w->loss), "killed: %s", why);
	log_debug("worker killed", "worker=%s pid=%d why=\"%s\"", w->name, worker_pid(w), why);
	end_trust(w, WORKER_CLEAN);
}

/* The first that may be handed back: a killed process still writes to targets until it is reaped. */
static struct flight *first_to_deliver(const struct worker *w)
{
	list_for_each (&w->in_flight, node) {
		struct flight *f = list_entry(node, struct flight, node);

		if (w->state == WORKER_REAPED || f->n_targets == 0)
			return f;
	}
	return NULL;
}

static enum lost how_lost(const struct worker *w, const struct flight *f)
{
	if (w->load_overran || !f->sent)
		return LOST_INNOCENT;
	if (!w->overran)
		return w->beside_load ? LOST_BESIDE_LOAD : LOST_SUSPECT;
	if (f != w->overran)
		return LOST_INNOCENT;
	return f->n_items == 1 ? LOST_GUILTY : LOST_SUSPECT;
}

void worker_deliver_lost(struct worker *w)
{
	struct pool *p = w->pool;
	struct flight *f;

	if (w->state != WORKER_LOST && w->state != WORKER_REAPED)
		return;
	while ((f = first_to_deliver(w))) {
		void *tag = f->tag;
		enum lost how = how_lost(w, f);

		list_remove(&f->node);
		w->n_in_flight--;
		flight_end(f);
		if (--f->model->n_flights == 0)
			pool_model_changed(f->model);
		list_push_front(&w->spare, &f->node);
		p->events->on_lost(p->data, tag, w, how);
	}
}

/* --- The exit -------------------------------------------------------------------------------- */

/* No process is to be started there now: it was replaced; its model goes, or is kept away from the device. */
static bool rests(const struct worker *w)
{
	if (!w->own)
		return w->resting;
	return w->leaving || pool_breaker(w->model, w->device_index)->state == BREAKER_OPEN;
}

static uint64_t delay_ns(struct worker *w)
{
	uint32_t at_once = w->up ? AT_ONCE_READY : AT_ONCE_STARTED;

	return back_off_ns(w->failures > at_once ? w->failures - at_once : 0,
		w->pool->settings->backoff_max_ms * NS_PER_MS, &w->pool->random);
}

void worker_plan_restart(struct worker *w)
{
	w->failures++;
	if (!w->up)
		w->failed_starts++;
	w->came_up = true;
	quarantine_ask(w, clock_ns());
	w->restart_at_ns = w->pool->draining || rests(w) ? 0 : clock_ns() + delay_ns(w);
}

/* Why it ended, as the exit status says, and it itself. */
static void judge_exit(
	struct worker *w, const struct process_exit *e, const char *text, enum group_end end)
{
	bool zero = e->known && !e->signaled && e->code == 0;
	const char *more = groups_end_text(&w->pool->groups, end);

	if (e->known && !e->signaled &&
		(e->code == WORKER_EXIT_CONFIG || e->code == WORKER_EXIT_DEVICE_UNUSABLE))
		w->verdict = WORKER_UNUSABLE;
	if (zero && !w->bye)
		more = ": the model, or a library, ended the process";
	snprintf(w->last_exit, sizeof(w->last_exit), "%s%s%s%s", text, more,
		w->parting[0] ? ": " : "", w->parting);
}

static void judge(struct worker *w, const struct process_exit *e)
{
	enum group_end end = groups_remove(&w->pool->groups, w->number);
	char text[64];

	process_exit_format(e, text, sizeof(text));
	w->killed = w->verdict == WORKER_CRASHED && e->known && e->signaled && e->code == SIGKILL;
	if (!w->killed)
		end = GROUP_END_OTHER;
	else if (end == GROUP_END_UNKNOWN && oom_claim(&w->pool->oom, clock_ns()))
		end = GROUP_END_SHORTAGE;
	/* By its own limit is not by others. */
	w->killed = w->killed && end != GROUP_END_LIMIT;
	if (w->loss[0])
		memcpy(w->last_exit, w->loss, sizeof(w->last_exit));
	else
		judge_exit(w, e, text, end);
	if (w->verdict == WORKER_CLEAN)
		log_info("worker ended", "worker=%s pid=%d exit=\"%s\"", w->name, worker_pid(w),
			text);
	else
		log_warning("worker lost", "worker=%s pid=%d exit=\"%s\" why=\"%s\"", w->name,
			worker_pid(w), text, w->last_exit);
}

/* Nothing of the process is left: let go of what it could touch. */
static void reap(struct worker *w, const struct process_exit *e)
{
	judge(w, e);
	if (!w->pool->draining)
		w->ends[w->verdict]++;
	worker_set_state(w, WORKER_REAPED);
	w->process = process_close(w->process);
	w->channel = channel_close(w->channel);
	if (w->output)
		output_memory_mute(w->output);
	w->output = output_memory_unref(w->output);
	memory_table_reaped(&w->pool->memories, w);
	w->pool->worker_events->on_reaped(w);
	w->suspect = w->was_loading = NULL;
	worker_forget_models(w);
	worker_plan_restart(w);
	worker_load_others(w->pool);
	pool_recount(w->pool, w);
	pool_soon(w->pool);
}

void worker_on_exit(void *data, const struct process_exit *e)
{
	struct worker *w = data;
	bool clean = e->known && !e->signaled && e->code == 0;

	/* What it said last counts, and its end of file. */
	if (w->channel)
		channel_drain(w->channel);
	if (w->state == WORKER_STOPPING && w->bye && clean) {
		w->verdict = WORKER_CLEAN;
		w->loss[0] = '\0';
	} else {
		worker_lose(w, WORKER_CRASHED, NULL);
	}
	reap(w, e);
}

/* --- Draining --------------------------------------------------------------------------------- */

void worker_drain(struct worker *w)
{
	w->restart_at_ns = 0;
	if (w->state == WORKER_DRAINING || w->state == WORKER_STOPPING)
		return;
	/* What has nothing to answer yet need not come up first. */
	if (w->state != WORKER_READY && !(w->state == WORKER_LOADING && w->n_in_flight > 0)) {
		worker_kill(w, w->leaving || w->resting ? "it is not needed any more" : POOL_ENDS);
		return;
	}
	worker_set_state(w, WORKER_DRAINING);
	worker_stop_idle(w);
	pool_arm(w->pool, worker_deadline(w));
}

void worker_stop_idle(struct worker *w)
{
	if (w->state != WORKER_DRAINING || w->n_in_flight > 0)
		return;
	worker_set_state(w, WORKER_STOPPING);
	output_memory_mute(w->output);
	worker_tell(w, &(struct wire_message){.type = WIRE_DRAIN});
}
