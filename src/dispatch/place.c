/*
 * place.c: which workers take a batch, and which of them gets it.
 *
 * Of the workers that hold the model and have a free slot, the one with the fewest batches in flight
 * is taken, ties in turn.
 *
 * One batch runs at a worker and one is at hand, so that it never waits for us. More than these two
 * are sent only while all that is there should be done within pipeline_us, by what batches of these
 * models took lately: quick models get many for one wake-up, slow ones keep late binding.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/place.h"

#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* Sent to a worker whatever they take. */
#define BATCHES_AT_HAND 2u

bool place_takes(const struct place *p, const struct work *w)
{
	return !p->exclusive && (!p->reserved || p->reserved == w) &&
	       worker_holds(p->worker, w->version->pool_model);
}

static bool has_time(const struct place *p)
{
	return worker_in_flight(p->worker) < BATCHES_AT_HAND || p->expect_ns <= p->pipeline_ns;
}

bool place_takes_batch(const struct place *p, const struct work *w)
{
	return !p->reserved && worker_free_slots(p->worker) > 0 && has_time(p) && place_takes(p, w);
}

bool place_takes_suspect(const struct place *p, const struct work *w)
{
	return worker_in_flight(p->worker) == 0 && worker_free_slots(p->worker) > 0 &&
	       place_takes(p, w);
}

struct place *place_pick(struct place *places, size_t n, size_t *next, const struct work *w,
	bool (*fit)(const struct place *p, const struct work *w))
{
	struct place *best = NULL;
	uint32_t best_load = 0;

	for (size_t i = 0; i < n; i++) {
		struct place *p = &places[(*next + i) % n];
		uint32_t load = worker_in_flight(p->worker);

		if ((best && load >= best_load) || !fit(p, w))
			continue;
		best = p;
		best_load = load;
		if (load == 0)
			break;
	}
	if (best)
		*next = (size_t)(best - places) + 1;
	return best;
}

uint64_t place_expectation(const struct place *p, const struct work *w)
{
	return work_expectation(w, p->pipeline_ns + 1);
}
