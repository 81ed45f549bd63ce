/*
 * batcher.c: joins requests of one model. The client whose turn it is in the first rank that has any gives the first
 * request; then each client in turn adds one that can be joined with it, until the batch is full; where there is room
 * left, those of the next rank do. A client whose oldest request cannot join is passed over (its requests keep their
 * order) and is first in line for the next batch.
 *
 * Where the model prefers sizes, a batch has the largest of them that is there. When the oldest has waited for as long as
 * it should, all go.
 *
 * A client that keeps more output memory than its share is set aside: its answers would fill what others need.
 *
 * Invariants of a batch: rows <= max_batch_size where the model batches, at most WIRE_ITEMS_MAX
 * items, and its packed size stays below WIRE_MESSAGE_MAX; a single request is always taken,
 * whatever its size. Daemon process, loop thread.
 */
#include "dispatch/batcher.h"

#include "base/clock.h"
#include "dispatch/check.h"
#include "dispatch/client_private.h"
#include "dispatch/output_share.h"
#include "dispatch/place.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

/* What a Run adds to its items: envelope, batch, model. */
#define RUN_BOUND 64u
/* Clients passed over for one batch: bounds the work when many send shapes that do not join. */
#define PASSED_MAX 64u

struct joint {
	const struct place *place;
	const struct request *first; /* NULL: none yet */
	uint64_t max_rows;
	uint64_t rows;
	size_t bound;
	uint32_t n;
	uint32_t n_passed;
};

uint64_t batcher_due(struct work *w, uint64_t now_ns)
{
	struct queue *q = &w->queue;
	const struct request *oldest = queue_oldest(q);
	uint64_t due;

	if (!version_delays(w->version) || !oldest->joinable ||
		q->rows >= version_max_batch_size(w->version) ||
		queue_settings_preferred(q->settings, q->rows))
		return 0;
	due = clock_add(oldest->queued_ns, w->version->settings.max_queue_delay_us * NS_PER_US);
	if (due <= now_ns)
		return 0;
	if (q->early_ns <= now_ns)
		queue_refresh_early(q);
	if (q->early_ns < due)
		due = q->early_ns;
	return due <= now_ns ? 0 : due;
}

static bool fits(const struct joint *j, const struct request *r)
{
	if (!j->first)
		return true;
	return j->n < WIRE_ITEMS_MAX && r->rows <= j->max_rows - j->rows &&
	       j->bound + r->bound <= WIRE_MESSAGE_MAX && request_joins(j->first, r);
}

static bool full(const struct joint *j)
{
	return j->first && (!j->first->joinable || j->rows >= j->max_rows);
}

static void add(struct joint *j, struct request *r)
{
	if (!j->first)
		j->first = r;
	j->rows += r->rows;
	j->bound += r->bound;
	j->n++;
}

static bool set_aside(struct work *w, struct line *l)
{
	const struct request *r = line_first(l);

	if (work_has_room(w, r))
		return false;
	output_share_wait(r->client);
	queue_set_aside(&w->queue, l);
	return true;
}

/* Those lines of a client that were set aside and need not be any more have turns again. */
static void bring_lines_back(struct client *c)
{
	list_for_each (&c->lines, node) {
		struct line *l = list_entry(node, struct line, client_node);

		if (!l->aside)
			continue;
		if (work_has_room(container_of(l->queue, struct work, queue), line_first(l)))
			queue_bring_back(l);
		else
			output_share_wait(c);
	}
}

void batcher_bring_back(struct output_share *s)
{
	struct list waiting, *node;

	if (!s->changed)
		return;
	s->changed = false;
	list_init(&waiting);
	while ((node = list_first(&s->aside))) {
		list_remove(node);
		list_push_back(&waiting, node);
	}
	/* Who still waits is put back by that. */
	while ((node = list_first(&waiting))) {
		list_remove(node);
		bring_lines_back(list_entry(node, struct client, aside_node));
	}
}

/* Back to the front of the line, in their order. */
static void put_back(struct list *lines, struct list *passed)
{
	while (!list_empty(passed)) {
		struct list *node = passed->prev;

		list_remove(node);
		list_push_front(lines, node);
	}
}

static void take_from(struct work *w, unsigned rank, struct joint *j, struct list *taken)
{
	struct queue *q = &w->queue;
	struct list *lines = &q->ranks[rank].lines;
	struct list passed;

	list_init(&passed);
	while (!full(j) && !list_empty(lines) && j->n_passed < PASSED_MAX) {
		struct line *l = list_entry(lines->next, struct line, node);
		struct request *r = line_first(l);

		if (set_aside(w, l))
			continue;
		list_remove(&l->node);
		if (!place_suits(j->place, r) || !fits(j, r)) {
			list_push_back(&passed, &l->node);
			/* There are not many whose memory is on a GPU; what suits is to be found behind them. */
			j->n_passed += place_suits(j->place, r);
			continue;
		}
		list_push_back(lines, &l->node);
		queue_remove(q, r);
		work_set_sent(w, r);
		list_push_back(taken, &r->node);
		add(j, r);
	}
	put_back(lines, &passed);
	queue_note_rank(q, rank);
}

/* How many rows the batch should have. */
static uint64_t size_of(struct work *w, uint64_t now_ns)
{
	const struct queue *q = &w->queue;
	const struct version *v = w->version;
	uint32_t preferred = queue_settings_preferred(q->settings, q->rows);
	uint64_t max = version_max_batch_size(v);

	if (preferred == 0 || preferred > max)
		return max;
	if (version_delays(v) && clock_add(queue_oldest(q)->queued_ns,
					 v->settings.max_queue_delay_us * NS_PER_US) <= now_ns)
		return max;
	return preferred;
}

uint32_t batcher_take(struct work *w, const struct place *p, struct list *taken, uint64_t now_ns)
{
	struct queue *q = &w->queue;
	struct joint j = {.place = p, .max_rows = size_of(w, now_ns), .bound = RUN_BOUND};
	unsigned rank = queue_rank(q, 0);

	while (rank < QUEUE_RANKS_MAX && !full(&j)) {
		take_from(w, rank, &j, taken);
		rank = queue_rank(q, rank + 1);
	}
	if (j.n > 0)
		histogram_add(&w->version->figures.batch_rows, HISTOGRAM_SHIFT_COUNT, j.rows);
	return j.n;
}
