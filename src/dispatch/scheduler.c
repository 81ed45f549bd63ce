/*
 * scheduler.c: which worker gets the next batch of which model.
 *
 * Versions with requests take turns, a batch each, or several that should take TURN_NS together: a worker
 * that goes from one model to another does so for some work and not for every batch; place.c says which worker takes one.
 *
 * A request that lost a worker is a suspect: it is sent only to a worker with nothing in flight, and
 * nothing else is sent there until it is back; so a poison request takes nobody with it twice. Where
 * no worker is idle one is reserved: it gets nothing new, and so becomes idle.
 *
 * Invariants: a work is in the list whenever it has requests queued; place.exclusive is the one batch
 * in flight there; work.reservation and place.reserved point to each other; a work holds at most
 * one reservation, and none without a suspect queued. There are as many batches as all workers have
 * slots, so a free slot finds a spare one.
 *
 * Each look at a work begins with what has expired, so that nothing behind it meets a deadline in
 * the past.
 *
 * Callbacks (request_fail(), request_finish()) may submit, cancel and even end dispatch: lists are
 * walked by taking their first node off. Daemon process, loop thread.
 */
#include "dispatch/scheduler.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/batch.h"
#include "dispatch/batcher.h"
#include "dispatch/dispatch.h"
#include "dispatch/output_share.h"
#include "dispatch/request_lost.h"
#include "dispatch/request_private.h"
#include "dispatch/scheduler_sequences.h"
#include "dispatch/scheduler_wait.h"
#include "dispatch/send.h"
#include "dispatch/sequence.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* Of expected work: then the next version has its turn. */
#define TURN_NS (100 * NS_PER_US)

int scheduler_init(struct scheduler *s, struct pool *pool, uint32_t slots,
	const struct dispatch_settings *settings)
{
	size_t n = pool_max_workers(pool) * slots;
	int r;

	s->settings = settings;
	list_init(&s->spare);
	list_init(&s->sent);
	list_init(&s->work);
	r = places_init(&s->places, pool, settings->pipeline_us * NS_PER_US);
	if (r)
		return r;
	s->batches = calloc(n + 1, sizeof(*s->batches));
	if (!s->batches)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		list_init(&s->batches[i].requests);
		list_push_back(&s->spare, &s->batches[i].node);
	}
	return 0;
}

void scheduler_deinit(struct scheduler *s)
{
	if (s->settings) {
		assert(list_empty(&s->sent));
		assert(list_empty(&s->work));
	}
	places_deinit(&s->places);
	free(s->batches);
	s->batches = NULL;
}

void scheduler_add(struct scheduler *s, struct work *w)
{
	if (!list_empty(&w->node))
		return;
	list_push_back(&s->work, &w->node);
	s->n_work++;
}

/* Harmless when it is not there: a callback may have emptied `work`. */
static void leave_work(struct scheduler *s, struct work *w)
{
	if (list_empty(&w->node))
		return;
	list_remove(&w->node);
	s->n_work--;
}

/* --- Keeping a worker free ------------------------------------------------------------------ */

static bool unreserve(struct work *w)
{
	if (!w->reservation)
		return false;
	w->reservation->reserved = NULL;
	w->reservation = NULL;
	return true;
}

/* Keep one worker free for w's suspect; another one if the reserved one is no good any more. Returns
 * whether one is there for others again. */
static bool reserve(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	bool freed;

	assert(!w->reservation || w->reservation->reserved == w);
	if (w->reservation && place_takes_later(&s->places, w->reservation, w, now_ns))
		return false;
	freed = unreserve(w);
	w->reservation = place_pick(&s->places, w, place_takes_later, now_ns);
	if (w->reservation)
		w->reservation->reserved = w;
	return freed;
}

/* --- Sending -------------------------------------------------------------------------------- */

/* Answer what has waited past its deadline. Returns whether there was any. */
static bool expire(struct work *w, uint64_t now_ns)
{
	struct request *r;
	bool any = false;

	while ((r = queue_expired(&w->queue, now_ns))) {
		queue_remove(&w->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		request_fail(r, now_ns, GRPC_DEADLINE_EXCEEDED,
			"deadline passed after %" PRIu64 " ms in the queue of model '%s'",
			(now_ns - r->times.submitted_ns) / NS_PER_MS, w->version->settings.name);
		any = true;
	}
	return any;
}

/* What has waited for its timeout. Returns whether there was any. */
static bool run_timeouts(struct work *w, uint64_t now_ns)
{
	struct request *r;
	bool any = false;

	while ((r = queue_overdue(&w->queue, now_ns))) {
		any = true;
		if (queue_action(&w->queue, r) == QUEUE_DELAY) {
			queue_delay(&w->queue, r);
			continue;
		}
		queue_remove(&w->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		request_fail(r, now_ns, GRPC_UNAVAILABLE, "Request timeout expired");
	}
	return any;
}

/* The suspect to go next: a client that has no room in its share for an answer waits alone. NULL: none. */
static struct request *next_suspect(struct work *w)
{
	list_for_each (&w->queue.suspects, node) {
		struct request *r = list_entry(node, struct request, node);

		if (work_has_room(w, r))
			return r;
		output_share_wait(r->client);
	}
	return NULL;
}

static bool run_suspect(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	struct request *r = next_suspect(w);
	struct place *p;
	struct list taken;

	if (!r)
		return unreserve(w);
	p = list_empty(&s->spare) ? NULL : place_pick(&s->places, w, place_takes_suspect, now_ns);
	if (!p)
		return reserve(s, w, now_ns);
	unreserve(w);
	queue_remove(&w->queue, r);
	work_set_sent(w, r);
	list_init(&taken);
	list_push_back(&taken, &r->node);
	return send_batch(s, w, p, NULL, &taken, 1, now_ns);
}

static bool run_batch(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	uint64_t due = s->draining ? 0 : batcher_due(w, now_ns);
	struct place *p;
	struct list taken;
	uint32_t n;

	if (due > 0) {
		s->due_ns = due < s->due_ns ? due : s->due_ns;
		return false;
	}
	p = list_empty(&s->spare) ? NULL : place_pick(&s->places, w, place_takes_batch, now_ns);
	if (!p)
		return false;
	list_init(&taken);
	n = batcher_take(w, p, &taken, now_ns);
	return n > 0 && send_batch(s, w, p, NULL, &taken, n, now_ns);
}

/* --- Turns ----------------------------------------------------------------------------------- */

/* One step for one model. Returns whether anything moved, so that another look is worth while. */
static bool schedule_model(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	struct queue *q = &w->queue;
	bool moved = request_tell_ordered(w) | expire(w, now_ns) | run_timeouts(w, now_ns);
	bool ready = q->n > 0 && version_ready(w->version);

	if (!ready || !queue_suspect(q))
		moved |= unreserve(w);
	if (w->sequences)
		moved |= sequences_run(s, w, now_ns);
	if (ready) {
		w->unready_since_ns = 0;
		moved |= scheduler_wait_bound(s, w, now_ns);
		if (queue_suspect(q))
			moved |= run_suspect(s, w, now_ns);
		if (!w->sequences && queue_has_turns(q))
			moved |= run_batch(s, w, now_ns);
	} else if (q->n > 0) {
		scheduler_wait(s, w, now_ns);
	}
	if (queue_first_deadline(q) < s->wait_ns)
		s->wait_ns = queue_first_deadline(q);
	if (queue_first_timeout(q) < s->wait_ns)
		s->wait_ns = queue_first_timeout(q);
	if (w->sequences)
		sequences_rest(s, w);
	if (q->n == 0 && !w->reservation && !(w->sequences && w->sequences->n > 0))
		leave_work(s, w);
	return moved;
}

/* The same until nothing moves, or its turn is over. */
static bool take_turn(struct scheduler *s, struct work *w, uint64_t now_ns)
{
	bool moved = false;

	s->turn_ns = 0;
	while (schedule_model(s, w, now_ns)) {
		moved = true;
		if (s->turn_ns >= TURN_NS || w->queue.n == 0)
			break;
	}
	return moved;
}

void scheduler_run(struct scheduler *s, uint64_t now_ns)
{
	uint32_t still = 0;

	s->due_ns = CLOCK_NO_DEADLINE;
	s->wait_ns = CLOCK_NO_DEADLINE;
	s->zeroed_bytes = 0;
	while (!list_empty(&s->work) && still < s->n_work) {
		struct work *w = list_entry(s->work.next, struct work, node);

		list_remove(&w->node);
		list_push_back(&s->work, &w->node);
		if (take_turn(s, w, now_ns))
			still = 0;
		else if (!list_empty(&w->node))
			still++; /* of those that are still there */
	}
}

/* --- What comes back ------------------------------------------------------------------------ */

/* Off the books; its requests are in `requests`, to be dealt with one by one. */
static void batch_end(struct scheduler *s, struct batch *b, struct list *requests)
{
	list_remove(&b->node);
	b->work->in_flight -= b->n;
	if (b->place->exclusive == b)
		b->place->exclusive = NULL;
	list_init(requests);
	for (struct request *r; (r = request_pop(&b->requests));) {
		r->batch = NULL;
		list_push_back(requests, &r->node);
	}
	list_push_front(&s->spare, &b->node);
}

static struct request_answer answer_of(const struct pool_result *result, struct worker *w)
{
	if (!result)
		return (struct request_answer){.status = GRPC_INTERNAL,
			.message = "the worker gave no result",
			.worker = w};
	return (struct request_answer){
		.status = (enum grpc_status)result->code,
		.message = result->message,
		.outputs = result->outputs,
		.n_outputs = result->n_outputs,
		.batch_requests = result->joined,
		.lease = result->lease,
		.worker = w,
	};
}

void scheduler_done(struct scheduler *s, void *tag, const struct pool_done *done)
{
	struct batch *b = tag;
	struct work *w = b->work;
	struct list requests;
	struct request *r;

	work_note_time(w, done->compute_ns);
	batch_end(s, b, &requests);
	for (size_t i = 0; (r = request_pop(&requests)); i++) {
		struct request_answer a =
			answer_of(i < done->n_results ? &done->results[i] : NULL, done->worker);

		work_note_output(w, r, &a);
		if (r->sequence)
			sequence_answered(r, &a);
		a.compute_ns = done->compute_ns;
		a.now_ns = done->now_ns;
		if (a.status == GRPC_CANCELLED && r->given_up && !r->withdrawn) {
			a.status = GRPC_DEADLINE_EXCEEDED;
			a.message = "deadline passed while the model was running";
		}
		request_finish(r, &a);
	}
	request_tell_ordered(w);
}

void scheduler_partial(struct scheduler *s, void *tag, const struct pool_partial *partial)
{
	struct batch *b = tag;
	struct request_answer a = answer_of(partial->result, partial->worker);
	struct list *node = b->requests.next;
	struct request *r;

	a.partial = !partial->last;
	a.compute_ns = partial->compute_ns;
	a.now_ns = partial->now_ns;
	for (size_t i = 0; i < partial->item; i++)
		node = node->next;
	r = list_entry(node, struct request, node);
	work_note_output(b->work, r, &a);
	if (partial->last && r->sequence)
		sequence_answered(r, &a);
	request_tell_ahead(r, &a);
	request_tell_ordered(b->work);
}

void scheduler_lost(struct scheduler *s, void *tag, struct worker *w, enum lost how)
{
	struct work *work = ((struct batch *)tag)->work;
	uint64_t now_ns = clock_ns();
	struct list requests, again;
	struct request *r;

	list_init(&again);
	batch_end(s, tag, &requests);
	while ((r = request_pop(&requests))) {
		if (r->sequence)
			sequence_lost(r, worker_loss(w));
		request_lost(r, worker_loss(w), how, &again, now_ns);
	}
	work_requeue(work, &again, now_ns);
	request_tell_ordered(work);
	if (work->queue.n > 0)
		scheduler_add(s, work);
}

void scheduler_fail_all(struct scheduler *s, uint64_t now_ns)
{
	const struct request_answer gone = {
		.status = GRPC_UNAVAILABLE, .message = DISPATCH_ENDING_TEXT, .now_ns = now_ns};

	list_for_each (&s->sent, at) {
		struct batch *b = list_entry(at, struct batch, node);

		list_for_each (&b->requests, node)
			request_tell(list_entry(node, struct request, node), &gone);
		request_tell_ordered(b->work);
	}
	while (!list_empty(&s->work)) {
		struct work *w = list_entry(s->work.next, struct work, node);
		struct request *r;

		if (w->sequences)
			sequences_end(w->sequences);

		while ((r = queue_oldest(&w->queue))) {
			queue_remove(&w->queue, r);
			request_set_state(r, REQUEST_LEAVING);
			request_finish(r, &gone);
		}
		request_tell_ordered(w);
		unreserve(w);
		leave_work(s, w);
	}
}

void scheduler_drain(struct scheduler *s)
{
	s->draining = true;
}

static bool is_runnable(const struct scheduler *s, struct work *w, uint64_t now_ns)
{
	if (w->queue.n == 0 || !version_ready(w->version) || list_empty(&s->spare))
		return false;
	if (w->sequences)
		return sequences_runnable(s, w, now_ns);
	if (work_suspect(w))
		return place_is_there(&s->places, w, place_takes_suspect, now_ns);
	return queue_has_turns(&w->queue) && (s->draining || batcher_due(w, now_ns) == 0) &&
	       place_is_there(&s->places, w, place_takes_batch, now_ns);
}

struct work *scheduler_runnable(const struct scheduler *s, uint64_t now_ns)
{
	list_for_each (&s->work, node) {
		struct work *w = list_entry(node, struct work, node);

		if (is_runnable(s, w, now_ns))
			return w;
	}
	return NULL;
}

uint64_t scheduler_lone_ns(const struct scheduler *s)
{
	const struct list *first = s->sent.next;
	const struct batch *b = list_entry(first, struct batch, node);

	if (first == &s->sent)
		return 0;
	if (first->next != &s->sent || b->n != 1)
		return UINT64_MAX;
	return work_expectation(b->work, UINT64_MAX);
}
