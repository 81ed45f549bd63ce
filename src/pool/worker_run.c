/*
 * worker_run.c: what is sent to a worker.
 *
 * Batches gather in the channel's record until pool_flush(), with what was released ahead of them.
 * Flights and their arrays are reused.
 * Daemon process, loop thread.
 */
#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"

/* `r` came from the channel for a message: trust ends where it was lost. */
static void check_sent(struct worker *w, int r, const char *message)
{
	if (r == CHANNEL_E_FULL)
		worker_lose(w, WORKER_HUNG, "does not read: no room for message '%s'", message);
	else if (r)
		worker_lose(
			w, WORKER_UNUSABLE, "message '%s' cannot be sent: %s", message, err_str(r));
}

static void send_with(struct worker *w, const struct wire_message *m, int fd)
{
	if (w->channel)
		check_sent(w, channel_send(w->channel, m, fd), wire_type_name(m->type));
}

void worker_send(struct worker *w, const struct wire_message *m)
{
	send_with(w, m, -1);
}

void worker_flush(struct worker *w)
{
	if (w->channel)
		check_sent(w, channel_flush(w->channel), "run");
}

void worker_tell(struct worker *w, const struct wire_message *m)
{
	worker_tell_fd(w, m, -1);
}

void worker_tell_fd(struct worker *w, const struct wire_message *m, int fd)
{
	send_with(w, m, fd);
	worker_flush(w);
}

/* --- Lanes ----------------------------------------------------------------------------------- */

static struct pool_lane *pick_lane(
	const struct worker *w, const struct pool_model *m, uint64_t now_ns)
{
	const struct holding *h = pool_holding((struct pool_model *)m, w);

	assert(h && h->n_lanes > 0);
	return lane_pick(h->lanes, h->n_lanes, now_ns);
}

struct lane_backlog worker_lane_backlog(
	const struct worker *w, const struct pool_model *m, uint64_t now_ns)
{
	const struct pool_lane *l = pick_lane(w, m, now_ns);

	return (struct lane_backlog){.n = l->backlog.n, .ns = backlog_ns(&l->backlog, now_ns)};
}

static struct pool_lane *lane_of(const struct worker *w, const struct pool_model *m, uint32_t lane)
{
	const struct holding *h = pool_holding((struct pool_model *)m, w);

	assert(h && lane < h->n_lanes);
	return &h->lanes[lane];
}

struct lane_backlog worker_backlog_of_lane(
	const struct worker *w, const struct pool_model *m, uint32_t lane, uint64_t now_ns)
{
	const struct pool_lane *l = lane_of(w, m, lane);

	return (struct lane_backlog){.n = l->backlog.n, .ns = backlog_ns(&l->backlog, now_ns)};
}

uint32_t worker_n_lanes(const struct worker *w, const struct pool_model *m)
{
	return worker_holds(w, m) ? pool_holding((struct pool_model *)m, w)->n_lanes : 0;
}

uint64_t worker_backlog_ns(const struct worker *w, uint64_t now_ns)
{
	return backlog_ns(&w->backlog, now_ns);
}

static void enter_lane(struct worker *w, struct flight *f, uint64_t now_ns)
{
	struct pool_lane *l = f->lane;

	lane_enter(l, f, now_ns);
	backlog_add(&w->backlog, f->expect_ns, now_ns);
	if (l->backlog.n > 1)
		return;
	list_push_back(&w->busy, &l->node);
	w->n_busy++;
	pool_arm(w->pool, worker_deadline(w));
}

void worker_leave_lane(struct worker *w, struct flight *f, uint64_t now_ns)
{
	struct pool_lane *l = f->lane;

	lane_leave(l, f, now_ns);
	backlog_remove(&w->backlog, f->expect_ns, now_ns);
	f->lane = NULL;
	if (l->backlog.n > 0)
		return;
	list_remove(&l->node);
	if (--w->n_busy == 0)
		w->alone = false;
}

/* --- Sending --------------------------------------------------------------------------------- */

static int map_memories(struct worker *w, const struct flight *f, uint64_t now_ns)
{
	for (size_t i = 0; i < f->n_memories; i++) {
		int r = memory_map(f->memories[i], w, now_ns);

		if (r)
			return r;
	}
	return 0;
}

static int send_run(struct worker *w, const struct flight *f, const struct pool_batch *b)
{
	const struct wire_message m = {
		.type = WIRE_RUN,
		.run = {.batch = f->id,
			.model = f->model->id,
			.items = b->items,
			.n_items = f->n_items,
			.lane = f->lane->index},
	};
	int r;

	output_memory_tell(w->output, worker_send);
	/* That has shown that it is lost: what was to be sent comes back by on_lost. */
	if (!w->channel)
		return 0;
	r = map_memories(w, f, b->now_ns);
	return r ? r : channel_send(w->channel, &m, -1);
}

static void take_off(struct worker *w, struct flight *f, uint64_t now_ns)
{
	list_remove(&f->node);
	list_push_back(&w->in_flight, &f->node);
	f->model->n_flights++;
	f->model->uses++;
	flight_begin(f);
	w->next_batch++;
	w->n_in_flight++;
	/* The lanes of one that was lost just now went with it. */
	if (f->sent)
		enter_lane(w, f, now_ns);
	else
		f->lane = NULL;
}

int worker_run(struct worker *w, const struct pool_batch *b)
{
	struct pool_model *m = b->model;
	struct flight *f;
	int r;

	if (worker_free_slots(w) == 0 || !worker_holds(w, m))
		return WORKER_E_BUSY;
	assert(b->n_items > 0);
	f = list_entry(w->spare.next, struct flight, node);
	r = flight_prepare(f, &w->pool->memories, m->declared, b->items, b->n_items);
	if (r)
		return r;
	f->id = w->next_batch;
	f->model = m;
	f->tag = b->tag;
	f->sent_ns = b->now_ns;
	f->expect_ns = b->expect_ns;
	f->lane = b->lane ? lane_of(w, m, *b->lane) : pick_lane(w, m, b->now_ns);
	r = send_run(w, f, b);
	if (r == -EMSGSIZE)
		return WORKER_E_LARGE;
	if (r == -ETOOMANYREFS)
		return WORKER_E_REFS;
	burst_add(&w->pool->burst, f->n_items, b->expect_ns);
	/* What was not sent is nobody's fault, nor on any lane. */
	check_sent(w, r, "run");
	f->sent = w->channel != NULL;
	take_off(w, f, b->now_ns);
	w->alone |= b->alone;
	return 0;
}

static const struct flight *find_tag(const struct worker *w, const void *tag)
{
	list_for_each (&w->in_flight, node) {
		const struct flight *f = list_entry(node, struct flight, node);

		if (f->tag == tag)
			return f;
	}
	return NULL;
}

void worker_cancel(struct worker *w, const void *tag)
{
	const struct flight *f = worker_listens(w) ? find_tag(w, tag) : NULL;

	if (!f)
		return;
	burst_hurry(&w->pool->burst);
	worker_send(w,
		&(struct wire_message){.type = WIRE_CANCEL,
			.cancel = {.batch = f->id, .model = f->model->id, .lane = f->lane->index}});
}
