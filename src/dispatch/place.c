/*
 * place.c: which workers take a batch, and which of them gets it.
 *
 * Of the workers that hold the model and take it, one that is awake with a little work is filled first, since
 * waking another one costs more than waiting behind that; else the one that should be done first is taken,
 * ties in turn. All goes by expected time, by what batches of these models took lately. A worker that
 * has kept a batch for longer than all that it has should take counts as busy for as long again, so that
 * nothing quick is put behind something that turned out slow while another worker could run it.
 *
 * One batch runs on a lane of a worker; a second is at hand, so that it never waits for us, only where what
 * is there should be done within AT_HAND_NS; more than these two only while that is within pipeline_us:
 * quick models get many batches for one wake-up, slow ones keep late binding.
 *
 * Daemon process, loop thread.
 */
#include "dispatch/place.h"

#include "base/clock.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"
#include "pool/worker.h"

/* Of expected work, behind which a second batch may wait. */
#define AT_HAND_NS (2 * NS_PER_MS)
/* An awake worker with no more than this is filled first: a wake-up costs some such time. */
#define FILL_NS (20 * NS_PER_US)
/* What is not known should take more than this, and than pipeline_us. */
#define UNKNOWN_NS (1 * NS_PER_MS)
/* So late is no news: workers are not always scheduled at once. */
#define LATE_NS (1 * NS_PER_MS)

void place_begin(struct place *p, uint64_t expect_ns, uint64_t now_ns)
{
	if (p->expect_ns == 0)
		p->since_ns = now_ns;
	p->expect_ns += expect_ns;
}

void place_end(struct place *p, uint64_t expect_ns, uint64_t now_ns)
{
	p->expect_ns -= expect_ns;
	p->since_ns = now_ns;
}

uint64_t place_load(const struct place *p, uint64_t now_ns)
{
	uint64_t kept_ns = now_ns > p->since_ns ? now_ns - p->since_ns : 0;

	if (worker_in_flight(p->worker) == 0)
		return 0;
	return kept_ns > p->expect_ns + LATE_NS ? kept_ns : p->expect_ns;
}

bool place_takes(const struct place *p, const struct work *w, uint64_t now_ns)
{
	return !p->exclusive && (!p->reserved || p->reserved == w) &&
	       worker_holds(p->worker, w->version->pool_model);
}

static bool has_time(const struct place *p, const struct work *w, uint64_t now_ns)
{
	uint32_t n = worker_lane_in_flight(p->worker, w->version->pool_model);
	uint64_t load_ns = place_load(p, now_ns);

	return n == 0 || load_ns <= p->pipeline_ns || (n == 1 && load_ns <= AT_HAND_NS);
}

bool place_takes_batch(const struct place *p, const struct work *w, uint64_t now_ns)
{
	return !p->reserved && worker_free_slots(p->worker) > 0 && place_takes(p, w, now_ns) &&
	       has_time(p, w, now_ns);
}

bool place_takes_suspect(const struct place *p, const struct work *w, uint64_t now_ns)
{
	return worker_in_flight(p->worker) == 0 && worker_free_slots(p->worker) > 0 &&
	       place_takes(p, w, now_ns);
}

/* Awake, with a little to do. */
static bool is_to_fill(const struct place *p, uint64_t now_ns)
{
	return worker_in_flight(p->worker) > 0 && place_load(p, now_ns) <= FILL_NS;
}

struct place *place_pick(struct place *places, size_t n, size_t *next, const struct work *w,
	bool (*fit)(const struct place *p, const struct work *w, uint64_t now_ns), uint64_t now_ns)
{
	struct place *best = NULL;
	uint64_t best_ns = 0;

	for (size_t i = 0; i < n; i++) {
		/* The one that was taken last comes first: it is the likeliest to be filled. */
		struct place *p = &places[(*next + n - 1 + i) % n];
		bool fill = is_to_fill(p, now_ns);
		uint64_t load_ns = fill ? 0 : place_load(p, now_ns);

		/* Of two that are idle, the one whose turn it is. */
		if (best && !fill && (load_ns > best_ns || (load_ns == best_ns && i > 1)))
			continue;
		if (!fit(p, w, now_ns))
			continue;
		best = p;
		best_ns = load_ns;
		if (fill)
			break;
	}
	if (best)
		*next = (size_t)(best - places) + 1;
	return best;
}

uint64_t place_expectation(const struct place *p, const struct work *w)
{
	return work_expectation(w, (p->pipeline_ns > UNKNOWN_NS ? p->pipeline_ns : UNKNOWN_NS) + 1);
}
