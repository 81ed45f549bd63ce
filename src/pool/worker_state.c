/*
 * worker_state.c: the states of a worker, how it may move between them, and what is asked about it.
 *
 * Daemon process, loop thread.
 */
#include "pool/worker.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

#define TO(state) (1u << (state))

static const uint32_t moves[] = {
	[WORKER_REAPED] = TO(WORKER_SPAWNED),
	[WORKER_SPAWNED] = TO(WORKER_LOADING) | TO(WORKER_LOST),
	[WORKER_LOADING] = TO(WORKER_READY) | TO(WORKER_DRAINING) | TO(WORKER_LOST),
	[WORKER_READY] = TO(WORKER_DRAINING) | TO(WORKER_LOST),
	[WORKER_DRAINING] = TO(WORKER_STOPPING) | TO(WORKER_LOST),
	[WORKER_STOPPING] = TO(WORKER_REAPED) | TO(WORKER_LOST),
	[WORKER_LOST] = TO(WORKER_REAPED),
};

static const char *const names[] = {
	[WORKER_SPAWNED] = "spawned",
	[WORKER_LOADING] = "loading",
	[WORKER_READY] = "ready",
	[WORKER_DRAINING] = "draining",
	[WORKER_STOPPING] = "stopping",
	[WORKER_LOST] = "lost",
	[WORKER_REAPED] = "reaped",
};

const char *worker_state_name(enum worker_state s)
{
	return names[s];
}

void worker_set_state(struct worker *w, enum worker_state to)
{
	assert(moves[w->state] & TO(to));
	log_debug("worker state", "worker=%s pid=%d from=%s to=%s", w->name, worker_pid(w),
		names[w->state], names[to]);
	if (to != WORKER_STOPPING)
		w->since_ns = clock_ns();
	if (to != WORKER_READY)
		w->ready_since_ns = 0;
	w->state = to;
}

bool worker_takes(const struct worker *w)
{
	return w->state == WORKER_READY || (w->state == WORKER_LOADING && w->set_up);
}

bool worker_listens(const struct worker *w)
{
	return worker_takes(w) || w->state == WORKER_DRAINING;
}

uint32_t worker_free_slots(const struct worker *w)
{
	return worker_takes(w) ? w->slots - w->n_in_flight : 0;
}

uint32_t worker_slots(const struct worker *w)
{
	return w->state == WORKER_REAPED ? w->pool->settings->slots : w->slots;
}

/* --- What it is ------------------------------------------------------------------------------ */

bool worker_is_loading(const struct worker *w)
{
	return w->loading;
}

uint32_t worker_in_flight(const struct worker *w)
{
	return w->n_in_flight;
}

bool worker_is_used(const struct worker *w)
{
	return w->own ? w->model != NULL : !worker_rests(w);
}

const struct pool_model_settings *worker_model(const struct worker *w)
{
	return w->model ? w->model->settings : NULL;
}

const char *worker_name(const struct worker *w)
{
	return w->name;
}

const char *worker_device(const struct worker *w)
{
	return w->device;
}

enum worker_state worker_get_state(const struct worker *w)
{
	return w->state;
}

int worker_pid(const struct worker *w)
{
	return w->process ? (int)process_pid(w->process) : 0;
}

uint64_t worker_generation(const struct worker *w)
{
	return w->generation;
}

uint64_t worker_batches_done(const struct worker *w)
{
	return w->done;
}

uint32_t worker_output_segments(const struct worker *w)
{
	return output_memory_n_segments(w->output);
}

uint64_t worker_output_mapped(const struct worker *w)
{
	return output_memory_mapped(w->output);
}

uint64_t worker_stayed_bytes(const struct worker *w)
{
	return w->stayed_bytes;
}

uint64_t worker_restarts(const struct worker *w)
{
	return w->restarts;
}

uint64_t worker_ends(const struct worker *w, enum worker_verdict verdict)
{
	return w->ends[verdict];
}

uint32_t worker_lanes_busy(const struct worker *w)
{
	return w->n_busy;
}

uint64_t worker_ready_since_ns(const struct worker *w)
{
	return w->ready_since_ns;
}

struct worker_limits worker_limits(const struct worker *w)
{
	return groups_limits(&w->pool->groups);
}

struct group_use worker_use(const struct worker *w)
{
	return w->process ? groups_use(&w->pool->groups, w->number)
			  : (struct group_use){.memory_bytes = 0};
}

const char *worker_sandbox(const struct worker *w)
{
	return w->sandbox;
}

const char *worker_quarantine(const struct worker *w)
{
	return gpus_action_text(w->quarantine);
}

bool worker_imports(const struct worker *w)
{
	return w->imports;
}

const char *worker_copies(const struct worker *w)
{
	return w->copies;
}

const char *worker_last_exit(const struct worker *w)
{
	return w->last_exit;
}

/* That its channel has ended is heard of before the end of the process, which mostly can be seen then; else how the model's
 * last crash there was is the next best. */
static const char *why_lost(const struct worker *w, char *out, size_t cap)
{
	const char *before = w->suspect ? breaker_why(&w->suspect->breakers[w->device_index]) : "";
	struct process_exit e;

	if (w->state == WORKER_REAPED)
		return w->last_exit;
	if (w->loss[0])
		return w->loss;
	if (process_peek(w->process, &e))
		return process_exit_format(&e, out, cap);
	snprintf(out, cap, *before ? "the time before: %s" : "%s", before);
	return out;
}

const char *worker_loss(struct worker *w)
{
	char text[WORKER_EXIT_MAX];
	const char *why = why_lost(w, text, sizeof(text));

	snprintf(w->lost_text, sizeof(w->lost_text), "%s%s%s%s", w->name, *why ? " (" : "", why,
		*why ? ")" : "");
	return w->lost_text;
}

uint64_t worker_restart_at_ns(const struct worker *w)
{
	return w->restart_at_ns;
}

static bool is_on_processors(const struct worker *w)
{
	return !strncmp(w->device, "cpu:", 4) && (!w->own || w->model) && !w->trial;
}

/* An even share of the processors, within its limit; what runs on a GPU needs one. */
uint32_t worker_threads(const struct worker *w)
{
	const struct pool *p = w->pool;
	uint32_t n = 0, share;

	if (strncmp(w->device, "cpu:", 4) != 0)
		return 1;
	for (size_t i = 0; i < p->n_workers; i++)
		n += is_on_processors(&p->workers[i]);
	share = n < p->settings->processors ? p->settings->processors / (n > 0 ? n : 1)
					    : p->settings->processors > 0;
	return groups_processors(&p->groups, share);
}
