/*
 * place.c: which workers take a batch, and which of them gets it.
 *
 * Of the workers that hold the model and take it, one that is awake with a little work is filled first, since
 * waking another one costs more than waiting behind that; else the one whose lane should be done first is taken,
 * ties in turn. All goes by expected time, by what batches of these models took lately. A lane that
 * has kept a batch for longer than all that it has should take counts as busy for as long again, so that
 * nothing quick is put behind something that turned out slow while another could run it.
 *
 * One batch runs on a lane; a second is at hand, so that it never waits for us, only where what
 * is there should be done within AT_HAND_NS; more than these two only while that is within pipeline_us:
 * quick models get many batches for one wake-up, slow ones keep late binding. What other lanes of
 * the worker have to do makes no difference to that.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/place.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/pool.h"
#include "pool/worker.h"

/* Of expected work, behind which a second batch may wait. */
#define AT_HAND_NS (2 * NS_PER_MS)
/* An awake worker with no more than this is filled first: a wake-up costs some such time. */
#define FILL_NS (20 * NS_PER_US)

int places_init(struct places *p, const struct pool *pool, uint64_t pipeline_ns)
{
	size_t n = pool_max_workers(pool);

	*p = (struct places){.pool = pool, .pipeline_ns = pipeline_ns};
	p->list = calloc(n + 1, sizeof(*p->list));
	if (!p->list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		p->list[i].worker = pool_worker(pool, i);
	return 0;
}

void places_deinit(struct places *p)
{
	for (size_t i = 0; p->list && i < pool_max_workers(p->pool); i++)
		assert(!p->list[i].exclusive && !p->list[i].reserved);
	free(p->list);
	p->list = NULL;
}

size_t places_n(const struct places *p)
{
	return pool_n_workers(p->pool);
}

bool place_takes(
	const struct places *all, const struct place *p, const struct work *w, uint64_t now_ns)
{
	return !p->exclusive && (!p->reserved || p->reserved == w) &&
	       worker_holds(p->worker, w->version->pool_model);
}

bool place_suits(const struct place *p, const struct request *r)
{
	return !r->device ||
	       (worker_imports(p->worker) && !strcmp(worker_device(p->worker), r->device));
}

bool place_takes_later(
	const struct places *all, const struct place *p, const struct work *w, uint64_t now_ns)
{
	const struct request *r = work_suspect((struct work *)w);

	return place_takes(all, p, w, now_ns) && (!r || place_suits(p, r));
}

/* Of what waits in lines, each of which has its order: may something that is first in one run there? */
static bool suits_some(const struct place *p, const struct queue *q)
{
	if (q->n_bound == 0)
		return true;
	for (unsigned rank = queue_rank(q, 0); rank < QUEUE_RANKS_MAX;
		rank = queue_rank(q, rank + 1)) {
		list_for_each (&q->ranks[rank].lines, node) {
			if (place_suits(p, line_first(list_entry(node, struct line, node))))
				return true;
		}
	}
	return false;
}

bool place_takes_more(const struct places *all, struct lane_backlog lane)
{
	return lane.n == 0 || lane.ns <= all->pipeline_ns || (lane.n == 1 && lane.ns <= AT_HAND_NS);
}

bool place_takes_batch(
	const struct places *all, const struct place *p, const struct work *w, uint64_t now_ns)
{
	if (p->reserved || worker_free_slots(p->worker) == 0 || !place_takes(all, p, w, now_ns) ||
		!suits_some(p, &w->queue))
		return false;
	return place_takes_more(
		all, worker_lane_backlog(p->worker, w->version->pool_model, now_ns));
}

bool place_takes_suspect(
	const struct places *all, const struct place *p, const struct work *w, uint64_t now_ns)
{
	const struct request *r = work_suspect((struct work *)w);

	return worker_in_flight(p->worker) == 0 && worker_free_slots(p->worker) > 0 &&
	       !(r && r->careful && worker_is_loading(p->worker)) &&
	       place_takes_later(all, p, w, now_ns);
}

/* What a place is chosen by: less is better. */
struct cost {
	bool idle;
	bool loading;	    /* which takes what running a batch needs */
	uint64_t lane_ns;   /* when the lane that would run it should be done */
	uint64_t worker_ns; /* and all that its worker has, of other lanes, too */
};

static struct cost cost_of(const struct place *p, const struct work *w, uint64_t now_ns)
{
	bool loading = worker_is_loading(p->worker);

	if (worker_in_flight(p->worker) == 0)
		return (struct cost){.idle = !loading, .loading = loading};
	return (struct cost){
		.loading = loading,
		.lane_ns = worker_lane_backlog(p->worker, w->version->pool_model, now_ns).ns,
		.worker_ns = worker_backlog_ns(p->worker, now_ns),
	};
}

/* Awake, with a little to do. */
static bool is_to_fill(struct cost c)
{
	return !c.idle && !c.loading && c.worker_ns <= FILL_NS;
}

static bool is_less(struct cost a, struct cost b)
{
	if (a.loading != b.loading)
		return b.loading;
	return a.lane_ns < b.lane_ns || (a.lane_ns == b.lane_ns && a.worker_ns < b.worker_ns);
}

struct place *place_pick(struct places *p, const struct work *w, place_fit *fit, uint64_t now_ns)
{
	struct place *best = NULL;
	struct cost best_cost = {0};
	size_t n = places_n(p);

	for (size_t i = 0; i < n; i++) {
		/* The one that was taken last comes first: it is the likeliest to be filled. */
		struct place *at = &p->list[(p->next + n - 1 + i) % n];
		struct cost cost;

		p->n_visits++;
		if (!fit(p, at, w, now_ns))
			continue;
		cost = cost_of(at, w, now_ns);
		/* Of two that are alike, the one whose turn it is. */
		if (!best || is_to_fill(cost) || is_less(cost, best_cost) ||
			(i == 1 && !is_less(best_cost, cost))) {
			best = at;
			best_cost = cost;
		}
		/* Nobody will be better, though it may not be the first one's turn. */
		if (is_to_fill(cost) || (cost.idle && i > 0))
			break;
	}
	if (best)
		p->next = (size_t)(best - p->list) + 1;
	return best;
}

bool place_is_there(const struct places *p, const struct work *w, place_fit *fit, uint64_t now_ns)
{
	for (size_t i = 0; i < places_n(p); i++) {
		if (fit(p, &p->list[i], w, now_ns))
			return true;
	}
	return false;
}

uint64_t place_expectation(const struct places *p, const struct work *w)
{
	uint64_t unknown_ns = (p->pipeline_ns > AT_HAND_NS ? p->pipeline_ns : AT_HAND_NS) + 1;

	return work_expectation(w, unknown_ns);
}
