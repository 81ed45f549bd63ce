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

#include "base/clock.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/model_private.h"
#include "pool/worker.h"

/* Sent to a worker whatever they take. */
#define BATCHES_AT_HAND 2u
/* A model's mean moves by 1/MEAN_WEIGHT of the difference. */
#define MEAN_WEIGHT 8

bool place_takes(const struct place *p, const struct model *m)
{
	return !p->exclusive && (!p->reserved || p->reserved == m) &&
	       worker_holds(p->worker, m->id);
}

static uint64_t pipeline_ns(const struct model *m)
{
	return m->dispatch->settings->pipeline_us * NS_PER_US;
}

static bool has_time(const struct place *p, const struct model *m)
{
	return worker_in_flight(p->worker) < BATCHES_AT_HAND || p->expect_ns <= pipeline_ns(m);
}

bool place_takes_batch(const struct place *p, const struct model *m)
{
	return !p->reserved && worker_free_slots(p->worker) > 0 && has_time(p, m) &&
	       place_takes(p, m);
}

bool place_takes_suspect(const struct place *p, const struct model *m)
{
	return worker_in_flight(p->worker) == 0 && worker_free_slots(p->worker) > 0 &&
	       place_takes(p, m);
}

struct place *place_pick(struct place *places, size_t n, size_t *next, const struct model *m,
	bool (*fit)(const struct place *p, const struct model *m))
{
	struct place *best = NULL;
	uint32_t best_load = 0;

	for (size_t i = 0; i < n; i++) {
		struct place *p = &places[(*next + i) % n];
		uint32_t load = worker_in_flight(p->worker);

		if ((best && load >= best_load) || !fit(p, m))
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

uint64_t place_expectation(const struct model *m)
{
	uint64_t most = pipeline_ns(m) + 1;

	return m->batches_timed > 0 && m->compute_ns < most ? m->compute_ns : most;
}

void place_note_time(struct model *m, uint64_t compute_ns)
{
	int64_t off = (int64_t)(compute_ns - m->compute_ns);

	m->compute_ns =
		m->batches_timed++ > 0 ? m->compute_ns + (uint64_t)(off / MEAN_WEIGHT) : compute_ns;
}
