/*
 * worker_run.c: what is sent to a worker, and what is asked about it.
 *
 * Batches gather in the channel's record until pool_flush(), with what was released ahead of them.
 * Flights, leases and their arrays are reused.
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

bool worker_listens(const struct worker *w)
{
	return w->state == WORKER_READY || w->state == WORKER_DRAINING;
}

/* `r` came from the channel for a message: trust ends where it was lost. */
static void check_sent(struct worker *w, int r, const char *message)
{
	if (r == CHANNEL_E_FULL)
		worker_lose(w, WORKER_HUNG, "does not read: no room for message '%s'", message);
	else if (r)
		worker_lose(
			w, WORKER_UNUSABLE, "message '%s' cannot be sent: %s", message, err_str(r));
}

void worker_send(struct worker *w, const struct wire_message *m)
{
	if (w->channel)
		check_sent(w, channel_send(w->channel, m, -1), wire_type_name(m->type));
}

void worker_flush(struct worker *w)
{
	if (w->channel)
		check_sent(w, channel_flush(w->channel), "run");
}

void worker_tell(struct worker *w, const struct wire_message *m)
{
	worker_send(w, m);
	worker_flush(w);
}

void worker_send_release(struct worker *w, const struct wire_release *m)
{
	worker_send(w, &(struct wire_message){.type = WIRE_RELEASE, .release = *m});
}

/* --- Models ---------------------------------------------------------------------------------- */

static bool is_to_load(const struct worker *w, uint32_t model)
{
	return (w->holds[model] == HOLD_NONE || w->holds[model] == HOLD_FAILED) &&
	       !w->unloads[model] && pool_wants(w->pool, model, w) &&
	       breaker_admits(pool_breaker(w->pool, model, w->device_index), w);
}

uint32_t worker_n_loads(const struct worker *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->pool->n_entries; i++)
		n += is_to_load(w, i);
	return n;
}

static void load(struct worker *w, uint32_t model)
{
	const struct pool_model *m = w->pool->entries[model].model;

	breaker_try(pool_breaker(w->pool, model, w->device_index), w);
	w->holds[model] = HOLD_LOADING;
	if (w->n_loading++ == 0 && w->n_in_flight == 0)
		w->front_ns = clock_ns();
	worker_tell(w, &(struct wire_message){.type = WIRE_LOAD,
			       .load = {
				       .model = model,
				       .name = m->name,
				       .version = m->version,
				       .path = m->path,
				       .backend = m->backend,
				       .max_batch_size = m->max_batch_size,
				       .parameters = m->parameters,
				       .n_parameters = m->n_parameters,
			       }});
	pool_arm(w->pool, worker_deadline(w));
}

void worker_load_all(struct worker *w)
{
	for (uint32_t i = 0; i < w->pool->n_entries; i++) {
		if (is_to_load(w, i))
			load(w, i);
	}
}

/* One at a time, so that what is at the front is always known; what has failed waits for the next
 * process. */
void worker_load_next(struct worker *w)
{
	if (w->state != WORKER_READY || w->n_loading > 0)
		return;
	for (uint32_t i = 0; i < w->pool->n_entries; i++) {
		if (w->holds[i] == HOLD_NONE && is_to_load(w, i)) {
			load(w, i);
			return;
		}
	}
}

static bool runs(const struct worker *w, uint32_t model)
{
	list_for_each (&w->in_flight, node) {
		if (list_entry(node, struct flight, node)->model == model)
			return true;
	}
	return false;
}

void worker_unload(struct worker *w, uint32_t model)
{
	if (w->unloads[model])
		return;
	w->unloads[model] = true;
	w->n_unloads++;
	worker_unload_idle(w);
}

void worker_unload_idle(struct worker *w)
{
	for (uint32_t i = 0; i < w->pool->n_entries && w->n_unloads > 0; i++) {
		if (!w->unloads[i] || w->state != WORKER_READY || runs(w, i))
			continue;
		w->unloads[i] = false;
		w->n_unloads--;
		worker_tell(w, &(struct wire_message){.type = WIRE_UNLOAD, .unload = {.model = i}});
	}
}

/* --- Batches --------------------------------------------------------------------------------- */

static int map_regions(struct worker *w, const struct flight *f)
{
	for (size_t i = 0; i < f->n_regions; i++) {
		int r = region_map(f->regions[i], w);

		if (r)
			return r;
	}
	return 0;
}

static int send_run(struct worker *w, const struct flight *f, const struct wire_item *items)
{
	const struct wire_message m = {
		.type = WIRE_RUN,
		.run = {.batch = f->id, .model = f->model, .items = items, .n_items = f->n_items},
	};
	int r;

	output_tell(w->output, worker_send_release);
	/* That has shown that it is lost: what was to be sent comes back by on_lost. */
	if (!w->channel)
		return 0;
	r = map_regions(w, f);
	return r ? r : channel_send(w->channel, &m, -1);
}

static void take_off(struct worker *w, struct flight *f)
{
	list_remove(&f->node);
	list_push_back(&w->in_flight, &f->node);
	f->behind_load = w->n_loading > 0;
	flight_begin(f);
	w->next_batch++;
	if (w->n_in_flight++ > 0)
		return;
	if (!f->behind_load)
		w->front_ns = clock_ns();
	pool_arm(w->pool, worker_deadline(w));
}

int worker_run(
	struct worker *w, uint32_t model, const struct wire_item *items, size_t n_items, void *tag)
{
	struct flight *f;
	int r;

	if (worker_free_slots(w) == 0 || !worker_holds(w, model))
		return WORKER_E_BUSY;
	assert(n_items > 0);
	f = list_entry(w->spare.next, struct flight, node);
	r = flight_prepare(f, &w->pool->regions, w->pool->entries[model].declared, items, n_items);
	if (!r)
		r = output_lease_new(&f->lease, w->output, w->next_batch);
	if (r)
		return r;
	f->id = w->next_batch;
	f->model = model;
	f->tag = tag;
	r = send_run(w, f, items);
	if (r == -EMSGSIZE) {
		f->lease = output_lease_unref(f->lease);
		return WORKER_E_LARGE;
	}
	take_off(w, f);
	check_sent(w, r, "run");
	return 0;
}

bool worker_holds(const struct worker *w, uint32_t model)
{
	return w->state == WORKER_READY && model < w->pool->n_entries &&
	       w->holds[model] == HOLD_HELD;
}

uint32_t worker_free_slots(const struct worker *w)
{
	return w->state == WORKER_READY ? w->slots - w->n_in_flight : 0;
}

uint32_t worker_slots(const struct worker *w)
{
	return w->state == WORKER_REAPED ? w->pool->settings->slots : w->slots;
}

/* --- What it is ------------------------------------------------------------------------------ */

uint32_t worker_in_flight(const struct worker *w)
{
	return w->n_in_flight;
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

uint64_t worker_restarts(const struct worker *w)
{
	return w->restarts;
}

uint64_t worker_ready_since_ns(const struct worker *w)
{
	return w->ready_since_ns;
}

const char *worker_last_exit(const struct worker *w)
{
	return w->last_exit;
}

uint64_t worker_restart_at_ns(const struct worker *w)
{
	return w->restart_at_ns;
}
