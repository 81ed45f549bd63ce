/*
 * sequence.c: sequences and their steps.
 *
 * Invariants: a sequence is in `ready` while a step of it waits and none runs, in `idle` while there is neither, and in
 * none of them while one runs; a request that is of a sequence is in its line or is the one that runs; a lane is there
 * as long as it has sequences. Only settle() frees a sequence, and nothing of one is touched behind it.
 *
 * Nothing here calls back. Daemon process, loop thread.
 */
#include "dispatch/sequence.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "dispatch/dispatch.h"
#include "dispatch/place.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

struct sequences *sequences_new(struct version *v)
{
	struct sequences *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->version = v;
	all->settings = v->settings.sequence;
	for (size_t i = 0; i < SEQUENCE_BUCKETS; i++)
		list_init(&all->buckets[i]);
	list_init(&all->ready);
	list_init(&all->idle);
	list_init(&all->lanes);
	return all;
}

/* --- Lanes ------------------------------------------------------------------------------------ */

static struct sequence_lane *find_lane(
	const struct sequences *all, const struct place *p, uint32_t index)
{
	uint64_t generation = worker_generation(p->worker);

	list_for_each (&all->lanes, node) {
		struct sequence_lane *l = list_entry(node, struct sequence_lane, node);

		if (l->place == p && l->index == index && l->generation == generation)
			return l;
	}
	return NULL;
}

uint32_t sequences_on_lane(const struct sequences *all, const struct place *p, uint32_t index)
{
	const struct sequence_lane *l = find_lane(all, p, index);

	return l ? l->n : 0;
}

uint32_t sequences_per_lane(const struct sequences *all)
{
	uint32_t rows = version_max_batch_size(all->version);

	if (all->settings->strategy == SEQUENCE_OLDEST)
		return all->settings->max_candidates;
	return rows > 0 ? rows : 1;
}

int sequence_bind(struct sequence *s, struct place *p, uint32_t index)
{
	struct sequence_lane *l = find_lane(s->all, p, index);

	assert(!s->lane);
	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->place = p;
		l->generation = worker_generation(p->worker);
		l->index = index;
		list_push_back(&s->all->lanes, &l->node);
		worker_bind(p->worker);
	}
	l->n++;
	s->lane = l;
	return 0;
}

static void unbind(struct sequence *s)
{
	struct sequence_lane *l = s->lane;

	s->lane = NULL;
	if (!l || --l->n > 0)
		return;
	worker_unbind(l->place->worker);
	list_remove(&l->node);
	free(l);
}

/* --- One sequence ----------------------------------------------------------------------------- */

static void end(struct sequence *s, const char *why)
{
	if (!*s->ended)
		snprintf(s->ended, sizeof(s->ended), "%s", why);
}

static void end_lost(struct sequence *s, const char *worker)
{
	/* What is too long is why the worker was. */
	int most = (int)(SEQUENCE_ENDED_MAX - sizeof("worker , which ran it, was lost"));
	char why[SEQUENCE_ENDED_MAX];

	snprintf(why, sizeof(why), "worker %.*s, which ran it, was lost", most, worker);
	end(s, why);
	if (!s->lost)
		s->all->version->figures.sequences_lost++;
	s->lost = true;
	unbind(s);
}

void sequence_look_after(struct sequence *s)
{
	const struct sequence_lane *l = s->lane;
	struct worker *w = l ? l->place->worker : NULL;

	if (w && (worker_generation(w) != l->generation ||
			 !worker_holds(w, s->all->version->pool_model)))
		end_lost(s, worker_name(w));
}

static void sequence_free(struct sequence *s)
{
	assert(!s->running && list_empty(&s->steps));
	if (!s->all->ending)
		sequence_look_after(s); /* to have it counted */
	unbind(s);
	sequence_step_drop_states(s);
	list_remove(&s->node);
	list_remove(&s->ready_node);
	list_remove(&s->idle_node);
	s->all->n--;
	free(s->values);
	free(s->id.text);
	free(s);
}

/* Nobody will ask for it again, but to begin it anew, or need be told that it has ended. */
static bool is_of_no_use(const struct sequence *s)
{
	return s->all->ending || s->over || s->closed || (!s->lane && !s->lost);
}

/* Into the list where it belongs. It may be gone then. */
static void settle(struct sequence *s)
{
	bool waits = !list_empty(&s->steps);

	if (s->running || !waits)
		list_remove(&s->ready_node);
	else if (list_empty(&s->ready_node))
		list_push_back(&s->all->ready, &s->ready_node);
	list_remove(&s->idle_node);
	if (s->running || waits)
		return;
	if (is_of_no_use(s)) {
		sequence_free(s);
		return;
	}
	s->idle_since_ns = clock_ns();
	list_push_back(&s->all->idle, &s->idle_node);
}

struct sequences *sequences_free(struct sequences *all)
{
	if (!all)
		return NULL;
	sequences_end(all);
	assert(all->n == 0 && list_empty(&all->lanes));
	free(all->shown);
	free(all);
	return NULL;
}

void sequences_end(struct sequences *all)
{
	struct list *node;

	all->ending = true;
	while ((node = list_first(&all->idle)))
		sequence_free(list_entry(node, struct sequence, idle_node));
}

/* "Never" is any large number in configurations. */
static uint64_t idle_ns(const struct sequences *all)
{
	uint64_t us = all->settings->idle_us;

	return us > UINT64_MAX / NS_PER_US ? CLOCK_NO_DEADLINE : us * NS_PER_US;
}

uint64_t sequences_idle_until(const struct sequences *all)
{
	struct list *node = list_first(&all->idle);

	if (!node)
		return CLOCK_NO_DEADLINE;
	return clock_add(list_entry(node, struct sequence, idle_node)->idle_since_ns, idle_ns(all));
}

void sequences_expire(struct sequences *all, uint64_t now_ns)
{
	while (!list_empty(&all->idle) && sequences_idle_until(all) <= now_ns)
		sequence_free(list_entry(all->idle.next, struct sequence, idle_node));
}

/* --- Which one it is -------------------------------------------------------------------------- */

static struct list *bucket_of(struct sequences *all, const struct sequence_id *id)
{
	uint64_t hash = id->text ? hash_bytes(id->text, id->n_text)
				 : hash_bytes(&id->number, sizeof(id->number));

	return &all->buckets[hash % SEQUENCE_BUCKETS];
}

static bool is_id(const struct sequence_id *a, const struct sequence_id *b)
{
	if (!a->text || !b->text)
		return !a->text && !b->text && a->number == b->number;
	return a->n_text == b->n_text && !memcmp(a->text, b->text, a->n_text);
}

static struct sequence *find(struct sequences *all, const struct sequence_id *id)
{
	list_for_each (bucket_of(all, id), node) {
		struct sequence *s = list_entry(node, struct sequence, node);

		if (is_id(&s->id, id))
			return s;
	}
	return NULL;
}

/* NULL: no memory. */
static struct sequence *sequence_new(struct sequences *all, const struct sequence_id *id)
{
	struct sequence *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->values = calloc(all->settings->n_states + 1, sizeof(s->values[0]));
	s->id = *id;
	s->id.text = id->text ? strdup(id->text) : NULL;
	if (!s->values || (id->text && !s->id.text)) {
		free(s->values);
		free(s->id.text);
		free(s);
		return NULL;
	}
	s->all = all;
	list_init(&s->ready_node);
	list_init(&s->idle_node);
	list_init(&s->steps);
	list_push_front(bucket_of(all, id), &s->node);
	all->n++;
	return s;
}

/* --- One step of it -------------------------------------------------------------------------- */

/* It is of no sequence any more. */
static void part(struct sequence *s, struct request *r)
{
	r->sequence = NULL;
	if (s->running == r)
		s->running = NULL;
	list_remove(&r->sequence_node);
	if (r->step->end) {
		s->over = true;
		unbind(s);
		sequence_step_drop_states(s);
	}
	settle(s);
}

/* request.leave */
static void leave(struct request *r)
{
	end(r->sequence, "a request of it was not run");
	part(r->sequence, r);
}

/* --- A step's way in -------------------------------------------------------------------------- */

static int refuse_start(struct request *r)
{
	char number[SEQUENCE_NUMBER_MAX];

	return request_refuse(r, GRPC_INVALID_ARGUMENT,
		"inference request for sequence %.*s to model '%s' must specify the START flag on "
		"the first request of the sequence",
		SEQUENCE_ID_SHOWN, sequence_id_name(&r->step->id, number),
		r->version->settings.name);
}

int sequence_admit(struct request *r)
{
	struct sequences *all = r->version->work->sequences;
	const struct sequence_step *step = r->step;
	struct sequence *s;

	if (!step)
		return request_refuse(r, GRPC_INVALID_ARGUMENT,
			"inference request to model '%s' must specify a non-zero or non-empty "
			"correlation ID",
			r->version->settings.name);
	sequences_expire(all, r->times.submitted_ns);
	s = find(all, &step->id);
	if (!step->start && (!s || s->closed))
		return refuse_start(r);
	if (!s)
		s = sequence_new(all, &step->id);
	if (!s)
		return request_refuse(r, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	r->sequence = s;
	r->leave = leave;
	return 0;
}

void sequence_enter(struct request *r)
{
	struct sequence *s = r->sequence;

	list_push_back(&s->steps, &r->sequence_node);
	s->closed = r->step->end;
	settle(s);
}

void sequence_forget(struct request *r)
{
	struct sequence *s = r->sequence;

	r->sequence = NULL;
	if (!s->running && list_empty(&s->steps))
		settle(s);
}

/* --- Its way to a worker ---------------------------------------------------------------------- */

struct request *sequence_next(struct sequence *s)
{
	struct request *r = list_entry(s->steps.next, struct request, sequence_node);

	assert(!list_empty(&s->steps) && !s->running);
	sequence_look_after(s);
	if (!r->step->start)
		return r;
	s->ended[0] = '\0';
	s->lost = s->over = false;
	sequence_step_drop_states(s);
	return r;
}

void sequence_sent(struct request *r)
{
	struct sequence *s = r->sequence;

	assert(!s->running && s->steps.next == &r->sequence_node);
	list_remove(&r->sequence_node);
	s->running = r;
	settle(s);
}

void sequence_return(struct request *r)
{
	struct sequence *s = r->sequence;

	assert(s->running == r);
	s->running = NULL;
	list_push_front(&s->steps, &r->sequence_node);
	settle(s);
}

/* --- Its end ---------------------------------------------------------------------------------- */

void sequence_answered(struct request *r, struct request_answer *a)
{
	struct sequence *s = r->sequence;

	assert(s->running == r);
	if (a->status == GRPC_CANCELLED)
		end(s, "a request of it was given up while it ran");
	else if (a->status == GRPC_OK && !sequence_step_keep_states(s, r, a))
		end(s, "its state could not be kept");
	part(s, r);
}

void sequence_lost(struct request *r, const char *worker)
{
	end_lost(r->sequence, worker);
}
