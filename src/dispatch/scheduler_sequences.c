/*
 * scheduler_sequences.c: which step of which sequence goes where.
 *
 * A sequence is bound to a lane when its first step is to run: to the one that has fewest, of those that have room for one
 * more; it waits where none has. From then on its steps go there alone, one at a time. Steps are not joined: what a batch
 * that failed has done to the state of a model cannot be told, so it could not be run again item by item.
 *
 * Who was looked at is moved to a list of its own, so that callbacks may change everything. Daemon process, loop thread.
 */
#include "dispatch/scheduler_sequences.h"

#include <stdio.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "dispatch/output_share.h"
#include "dispatch/place.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler.h"
#include "dispatch/send.h"
#include "dispatch/sequence.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* --- Where ------------------------------------------------------------------------------------ */

struct choice {
	struct place *place; /* NULL: none has room */
	uint32_t lane;
	uint32_t n; /* sequences that it has */
};

static void consider_place(struct choice *best, struct place *p, const struct work *w)
{
	uint32_t n_lanes = worker_n_lanes(p->worker, w->version->pool_model);
	uint32_t limit = sequences_per_lane(w->sequences);

	for (uint32_t i = 0; i < n_lanes; i++) {
		uint32_t n = sequences_on_lane(w->sequences, p, i);

		if (n < limit && (!best->place || n < best->n))
			*best = (struct choice){p, i, n};
	}
}

static struct choice choose_lane(const struct scheduler *s, const struct work *w, uint64_t now_ns)
{
	struct choice best = {0};

	for (size_t i = 0; i < places_n(&s->places); i++) {
		struct place *p = &s->places.list[i];

		if (place_takes(&s->places, p, w, now_ns) && !worker_is_ending(p->worker))
			consider_place(&best, p, w);
	}
	return best;
}

static bool lane_takes(const struct scheduler *s, const struct work *w,
	const struct sequence_lane *l, uint64_t now_ns)
{
	struct lane_backlog backlog;

	if (!place_takes(&s->places, l->place, w, now_ns) || l->place->reserved ||
		worker_free_slots(l->place->worker) == 0)
		return false;
	backlog =
		worker_backlog_of_lane(l->place->worker, w->version->pool_model, l->index, now_ns);
	return place_takes_more(&s->places, backlog);
}

/* May its states be zeroed in this turn of the loop? One that begins alone in it may. */
static bool has_time(const struct scheduler *s, const struct request *r)
{
	uint64_t n = sequence_step_zeros(r);

	return n == 0 || s->zeroed_bytes == 0 ||
	       n + s->zeroed_bytes <= s->settings->max_state_bytes;
}

/* --- One step --------------------------------------------------------------------------------- */

static void fail_ended(struct work *w, struct sequence *q, struct request *r, uint64_t now_ns)
{
	char number[SEQUENCE_NUMBER_MAX], why[SEQUENCE_ENDED_MAX];

	snprintf(why, sizeof(why), "%s", q->ended);
	queue_remove(&w->queue, r);
	request_set_state(r, REQUEST_LEAVING);
	request_fail(r, now_ns, GRPC_UNAVAILABLE,
		"sequence %.*s of model '%s' has ended: %s; begin it anew", SEQUENCE_ID_SHOWN,
		sequence_id_name(&r->step->id, number), w->version->settings.name, why);
}

static bool send_step(struct scheduler *s, struct work *w, struct request *r, uint64_t now_ns)
{
	struct sequence_lane *l = r->sequence->lane;
	uint32_t index = l->index;
	struct list taken;

	queue_remove(&w->queue, r);
	work_set_sent(w, r);
	sequence_sent(r);
	if (sequence_step_fill_states(r)) {
		request_fail(r, now_ns, request_status(r), "%s", request_message(r));
		return true;
	}
	list_init(&taken);
	list_push_back(&taken, &r->node);
	histogram_add(&w->version->figures.batch_rows, HISTOGRAM_SHIFT_COUNT, r->rows);
	return send_batch(s, w, l->place, &index, &taken, 1, now_ns);
}

/* One action for one sequence. */
static bool look_at(struct scheduler *s, struct work *w, struct sequence *q, uint64_t now_ns)
{
	struct request *r = sequence_next(q);
	struct choice choice;

	if (*q->ended) {
		fail_ended(w, q, r, now_ns);
		return true;
	}
	if (list_empty(&s->spare))
		return false;
	if (!work_has_room(w, r)) {
		output_share_wait(r->client);
		return false;
	}
	if (!q->lane) {
		choice = choose_lane(s, w, now_ns);
		if (!choice.place || sequence_bind(q, choice.place, choice.lane))
			return false;
	}
	if (!lane_takes(s, w, q->lane, now_ns))
		return false;
	if (!has_time(s, r)) {
		s->wait_ns = now_ns;
		return false;
	}
	s->zeroed_bytes += sequence_step_zeros(r);
	return send_step(s, w, r, now_ns);
}

/* --- All of them ------------------------------------------------------------------------------ */

bool sequences_run(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	struct sequences *all = w->sequences;
	struct list looked, waiting, *node;
	bool moved = false;

	sequences_expire(all, now_ns);
	list_init(&looked);
	list_init(&waiting);
	while ((node = list_first(&all->ready))) {
		list_remove(node);
		list_push_back(&waiting, node);
	}
	while ((node = list_first(&waiting))) {
		list_remove(node);
		list_push_back(&looked, node);
		moved |= look_at(s, w, list_entry(node, struct sequence, ready_node), now_ns);
	}
	while (!list_empty(&looked)) {
		node = looked.prev;
		list_remove(node);
		list_push_front(&all->ready, node);
	}
	return moved;
}

void sequences_rest(struct scheduler *s, struct work *w)
{
	struct sequences *all = w->sequences;
	uint64_t until_ns;

	if (s->draining || w->version->retired)
		sequences_end(all);
	until_ns = sequences_idle_until(all);
	s->wait_ns = until_ns < s->wait_ns ? until_ns : s->wait_ns;
}

bool sequences_runnable(const struct scheduler *s, struct work *w, uint64_t now_ns)
{
	list_for_each (&w->sequences->ready, node) {
		struct sequence *q = list_entry(node, struct sequence, ready_node);

		if (!*q->ended &&
			!(work_has_room(w, sequence_next(q)) && has_time(s, sequence_next(q))))
			continue;
		if (*q->ended || (q->lane ? lane_takes(s, w, q->lane, now_ns)
					  : choose_lane(s, w, now_ns).place != NULL))
			return true;
	}
	return false;
}
