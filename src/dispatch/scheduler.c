/*
 * scheduler.c: which worker gets the next batch of which model.
 *
 * Models with requests take turns, a batch each; place.c says which worker takes one.
 *
 * A request that lost a worker is a suspect: it is sent only to a worker with nothing in flight, and
 * nothing else is sent there until it is back; so a poison request takes nobody with it twice. Where
 * no worker is idle one is reserved: it gets nothing new, and so becomes idle.
 *
 * Invariants: a model is in `work` whenever it has requests queued; place.exclusive is the one batch
 * in flight there; model.reservation and place.reserved point to each other; a model holds at most
 * one reservation, and none without a suspect queued. There are as many batches as all workers have
 * slots, so a free slot finds a spare one.
 *
 * Each look at a model begins with what has expired, so that nothing behind it meets a deadline in
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
#include "base/err.h"
#include "base/log.h"
#include "dispatch/batcher.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/model_private.h"
#include "dispatch/request_private.h"
#include "pool/worker.h"

struct batch {
	struct list node;     /* in scheduler.spare or .sent */
	struct list requests; /* struct request.node, as sent */
	struct model *model;  /* borrow */
	struct place *place;  /* borrow */
	uint32_t n;
	uint64_t expect_ns; /* so long it should take, or at least */
};

int scheduler_init(struct scheduler *s, struct dispatch *d, uint32_t slots)
{
	size_t n = pool_n_workers(d->pool);

	s->dispatch = d;
	s->n_places = n;
	list_init(&s->spare);
	list_init(&s->sent);
	list_init(&s->work);
	s->places = calloc(n, sizeof(*s->places));
	s->batches = calloc(n * slots, sizeof(*s->batches));
	if (n > 0 && (!s->places || !s->batches))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		s->places[i].worker = pool_worker(d->pool, i);
	for (size_t i = 0; i < n * slots; i++) {
		list_init(&s->batches[i].requests);
		list_push_back(&s->spare, &s->batches[i].node);
	}
	return 0;
}

void scheduler_deinit(struct scheduler *s)
{
	if (s->dispatch) {
		assert(list_empty(&s->sent));
		assert(list_empty(&s->work));
	}
	free(s->places);
	free(s->batches);
	s->places = NULL;
	s->batches = NULL;
}

void scheduler_add(struct scheduler *s, struct model *m)
{
	if (!list_empty(&m->work_node))
		return;
	list_push_back(&s->work, &m->work_node);
	s->n_work++;
}

/* Harmless when it is not there: a callback may have emptied `work`. */
static void leave_work(struct scheduler *s, struct model *m)
{
	if (list_empty(&m->work_node))
		return;
	list_remove(&m->work_node);
	s->n_work--;
}

/* --- Keeping a worker free ------------------------------------------------------------------ */

static bool unreserve(struct model *m)
{
	if (!m->reservation)
		return false;
	m->reservation->reserved = NULL;
	m->reservation = NULL;
	return true;
}

/* Keep one worker free for m's suspect; another one if the reserved one is no good any more. Returns
 * whether one is there for others again. */
static bool reserve(struct scheduler *s, struct model *m)
{
	bool freed;

	if (m->reservation && place_takes(m->reservation, m))
		return false;
	freed = unreserve(m);
	m->reservation = place_pick(s->places, s->n_places, &s->next, m, place_takes);
	if (m->reservation)
		m->reservation->reserved = m;
	return freed;
}

/* --- Sending -------------------------------------------------------------------------------- */

static struct request *pop(struct list *l)
{
	struct list *node = list_first(l);

	if (!node)
		return NULL;
	list_remove(node);
	return list_entry(node, struct request, node);
}

/* Answer what has waited past its deadline. Returns whether there was any. */
static bool expire(struct model *m, uint64_t now_ns)
{
	struct request *r;
	bool any = false;

	while ((r = queue_expired(&m->queue, now_ns))) {
		queue_remove(&m->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		request_fail(r, now_ns, GRPC_DEADLINE_EXCEEDED,
			"deadline passed after %" PRIu64 " ms in the queue of model '%s'",
			(now_ns - r->times.submitted_ns) / NS_PER_MS, m->settings->name);
		any = true;
	}
	return any;
}

/* It was not sent after all: back to where it was. */
static void requeue(struct model *m, struct list *taken, uint64_t now_ns)
{
	struct list out;
	struct request *r;

	list_init(&out);
	while (!list_empty(taken)) {
		r = list_entry(taken->prev, struct request, node);
		list_remove(&r->node);
		if (queue_push_front(&m->queue, r))
			list_push_front(&out, &r->node);
	}
	while ((r = pop(&out)))
		request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

/* Returns whether something has happened to the queue. */
static bool send_failed(struct model *m, struct list *taken, uint32_t n, int e, uint64_t now_ns)
{
	struct request *r;

	if (e == WORKER_E_BUSY) {
		requeue(m, taken, now_ns);
		return false;
	}
	if (e == WORKER_E_LARGE && n > 1) {
		/* Each alone, then: wire_item_bound() should have kept us from this. */
		list_for_each (taken, node)
			list_entry(node, struct request, node)->joinable = false;
		requeue(m, taken, now_ns);
		return true;
	}
	while ((r = pop(taken))) {
		if (e == WORKER_E_LARGE)
			request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED,
				"the request's names, shapes and parameters take %zu bytes on the "
				"way to a worker, above the limit of %u (WIRE_MESSAGE_MAX)",
				r->bound, WIRE_MESSAGE_MAX);
		else
			request_fail(r, now_ns, GRPC_RESOURCE_EXHAUSTED,
				"the request could not be sent to a worker: %s", err_str(e));
	}
	return true;
}

/* Send `taken` (n requests, SENT) to p. Returns whether something was sent or failed. */
static bool send_batch(struct scheduler *s, struct model *m, struct place *p, struct list *taken,
	uint32_t n, uint64_t now_ns)
{
	struct batch *b;
	uint32_t i = 0;
	int e;

	assert(!list_empty(&s->spare));
	b = list_entry(s->spare.next, struct batch, node);
	list_for_each (taken, node)
		s->items[i++] = list_entry(node, struct request, node)->item;
	assert(i == n);
	e = worker_run(p->worker, m->id, s->items, n, b);
	if (e)
		return send_failed(m, taken, n, e, now_ns);
	list_remove(&b->node);
	list_push_back(&s->sent, &b->node);
	b->model = m;
	b->place = p;
	b->n = n;
	b->expect_ns = place_expectation(m);
	p->expect_ns += b->expect_ns;
	for (struct request *r; (r = pop(taken));) {
		r->times.dispatched_ns = now_ns;
		list_push_back(&b->requests, &r->node);
		if (r->suspect)
			p->exclusive = b;
	}
	m->in_flight += n;
	m->counters.batches++;
	return true;
}

static bool run_suspect(struct scheduler *s, struct model *m, uint64_t now_ns)
{
	struct request *r = queue_suspect(&m->queue);
	struct place *p;
	struct list taken;

	p = list_empty(&s->spare)
		    ? NULL
		    : place_pick(s->places, s->n_places, &s->next, m, place_takes_suspect);
	if (!p)
		return reserve(s, m);
	unreserve(m);
	queue_remove(&m->queue, r);
	request_set_state(r, REQUEST_SENT);
	list_init(&taken);
	list_push_back(&taken, &r->node);
	return send_batch(s, m, p, &taken, 1, now_ns);
}

static bool run_batch(struct scheduler *s, struct model *m, uint64_t now_ns)
{
	uint64_t due = dispatch_draining(s->dispatch) ? 0 : batcher_due(m, now_ns);
	struct place *p;
	struct list taken;
	uint32_t n;

	if (due > 0) {
		s->due_ns = due < s->due_ns ? due : s->due_ns;
		return false;
	}
	p = list_empty(&s->spare)
		    ? NULL
		    : place_pick(s->places, s->n_places, &s->next, m, place_takes_batch);
	if (!p)
		return false;
	list_init(&taken);
	n = batcher_take(m, &taken);
	return send_batch(s, m, p, &taken, n, now_ns);
}

/* --- Waiting for a worker ------------------------------------------------------------------- */

/* No ready worker holds the model: wait for one within limits. */
static void wait_for_worker(struct scheduler *s, struct model *m, uint64_t now_ns)
{
	const struct dispatch_settings *settings = s->dispatch->settings;
	bool hopeful = model_hopeful(m) && !dispatch_draining(s->dispatch);
	uint64_t wait_ns = clock_add(0, settings->retry_wait_ms > UINT64_MAX / NS_PER_MS
						? CLOCK_NO_DEADLINE
						: settings->retry_wait_ms * NS_PER_MS);
	struct request *r;

	if (m->unready_since_ns == 0)
		m->unready_since_ns = now_ns;
	while ((r = queue_oldest(&m->queue))) {
		uint64_t since =
			r->queued_ns > m->unready_since_ns ? r->queued_ns : m->unready_since_ns;
		uint64_t until = clock_add(since, wait_ns);

		if (hopeful && until > now_ns) {
			s->wait_ns = until < s->wait_ns ? until : s->wait_ns;
			break;
		}
		queue_remove(&m->queue, r);
		request_set_state(r, REQUEST_LEAVING);
		if (hopeful)
			request_fail(r, now_ns, GRPC_UNAVAILABLE,
				"model '%s' had no ready worker for %" PRIu64
				" ms ([dispatch] retry_wait_ms)%s%s",
				m->settings->name, settings->retry_wait_ms,
				*model_detail(m) ? ": " : "", model_detail(m));
		else
			dispatch_fail_unavailable(s->dispatch, m, r, now_ns);
	}
}

/* One step for one model. Returns whether anything moved, so that another look is worth while. */
static bool schedule_model(struct scheduler *s, struct model *m, uint64_t now_ns)
{
	struct queue *q = &m->queue;
	bool moved = expire(m, now_ns);
	bool ready = q->n > 0 && model_ready(m);

	if (!ready || !queue_suspect(q))
		moved |= unreserve(m);
	if (ready) {
		m->unready_since_ns = 0;
		if (queue_suspect(q))
			moved |= run_suspect(s, m, now_ns);
		if (q->n > q->n_suspects)
			moved |= run_batch(s, m, now_ns);
	} else if (q->n > 0) {
		wait_for_worker(s, m, now_ns);
	}
	if (queue_first_deadline(q) < s->wait_ns)
		s->wait_ns = queue_first_deadline(q);
	if (q->n == 0 && !m->reservation)
		leave_work(s, m);
	return moved;
}

void scheduler_run(struct scheduler *s, uint64_t now_ns)
{
	uint32_t still = 0;

	s->due_ns = CLOCK_NO_DEADLINE;
	s->wait_ns = CLOCK_NO_DEADLINE;
	while (!list_empty(&s->work) && still < s->n_work) {
		struct model *m = list_entry(s->work.next, struct model, work_node);

		list_remove(&m->work_node);
		list_push_back(&s->work, &m->work_node);
		if (schedule_model(s, m, now_ns))
			still = 0;
		else
			still++;
	}
}

/* --- What comes back ------------------------------------------------------------------------ */

/* Off the books; its requests are in `requests`, to be dealt with one by one. */
static void batch_end(struct scheduler *s, struct batch *b, struct list *requests)
{
	list_remove(&b->node);
	b->model->in_flight -= b->n;
	b->place->expect_ns -= b->expect_ns;
	if (b->place->exclusive == b)
		b->place->exclusive = NULL;
	list_init(requests);
	for (struct request *r; (r = pop(&b->requests));)
		list_push_back(requests, &r->node);
	list_push_front(&s->spare, &b->node);
}

static struct request_answer answer_of(const struct pool_done *done, size_t i)
{
	const struct pool_result *result;

	if (i >= done->n_results)
		return (struct request_answer){
			.status = GRPC_INTERNAL, .message = "the worker gave no result"};
	result = &done->results[i];
	return (struct request_answer){
		.status = (enum grpc_status)result->code,
		.message = result->message,
		.outputs = result->outputs,
		.n_outputs = result->n_outputs,
		.lease = done->lease,
	};
}

void scheduler_done(struct scheduler *s, void *tag, const struct pool_done *done)
{
	struct batch *b = tag;
	uint32_t n = b->n;
	uint64_t now_ns = clock_ns();
	struct list requests;
	struct request *r;

	place_note_time(b->model, done->compute_ns);
	batch_end(s, b, &requests);
	for (size_t i = 0; (r = pop(&requests)); i++) {
		struct request_answer a = answer_of(done, i);

		a.worker = done->worker;
		a.compute_ns = done->compute_ns;
		a.batch_requests = n;
		a.now_ns = now_ns;
		request_finish(r, &a);
	}
}

/* A request whose worker is gone: once more, alone, or that was it. */
static void lost_one(struct scheduler *s, struct request *r, const char *worker, uint64_t now_ns)
{
	struct model *m = r->model;

	r->losses++;
	if (r->silent) {
		request_drop(r);
	} else if (r->withdrawn) {
		request_fail(r, now_ns, GRPC_CANCELLED, "cancelled");
	} else if (r->losses > 1) {
		log_warning("request lost two workers", "model=%s worker=%s", m->settings->name,
			worker);
		request_fail(r, now_ns, GRPC_INTERNAL,
			"worker lost twice while it had this request for model '%s', the second "
			"time %s, running it alone",
			m->settings->name, worker);
	} else if (m->settings->stateful) {
		request_fail(r, now_ns, GRPC_UNAVAILABLE,
			"worker %s was lost with this request for model '%s', which is stateful: "
			"it is not sent again",
			worker, m->settings->name);
	} else if (r->deadline_ns <= now_ns) {
		request_fail(r, now_ns, GRPC_DEADLINE_EXCEEDED,
			"deadline passed when worker %s was lost with this request for model '%s'",
			worker, m->settings->name);
	} else {
		queue_push_suspect(&m->queue, r, now_ns);
		scheduler_add(s, m);
	}
}

void scheduler_lost(struct scheduler *s, void *tag, struct worker *w)
{
	struct batch *b = tag;
	uint64_t now_ns = clock_ns();
	struct list requests;
	struct request *r;

	batch_end(s, b, &requests);
	while ((r = pop(&requests)))
		lost_one(s, r, worker_name(w), now_ns);
}

void scheduler_fail_all(struct scheduler *s, uint64_t now_ns)
{
	const struct request_answer gone = {
		.status = GRPC_UNAVAILABLE, .message = DISPATCH_ENDING_TEXT, .now_ns = now_ns};

	list_for_each (&s->sent, at) {
		struct batch *b = list_entry(at, struct batch, node);

		list_for_each (&b->requests, node)
			request_tell(list_entry(node, struct request, node), &gone);
	}
	while (!list_empty(&s->work)) {
		struct model *m = list_entry(s->work.next, struct model, work_node);
		struct request *r;

		while ((r = queue_oldest(&m->queue))) {
			queue_remove(&m->queue, r);
			request_set_state(r, REQUEST_LEAVING);
			request_finish(r, &gone);
		}
		unreserve(m);
		leave_work(s, m);
	}
}
