/*
 * queue.c: what waits for one model.
 *
 * Invariants: a request is in `arrivals` and in exactly one of a line and `suspects`; n, n_suspects
 * and rows are what a walk would count; a line in a rank or `aside` is not empty; whatever has a deadline is
 * in `deadlines`, and what is in a line and has a timeout that has not been acted on in `timeouts`. Nothing leaves the
 * queue by itself: the scheduler asks for what has expired.
 *
 * A request with a deadline should not spend all of its time waiting for company: by half of it, it
 * is due (early_ns).
 *
 * Daemon process, loop thread.
 */
#include "dispatch/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "dispatch/client_private.h"
#include "dispatch/request_private.h"
#include "dispatch/sequence.h"

#define SPARE_LINES_MAX 64u

static unsigned n_ranks(const struct queue *q)
{
	return q->settings ? 2 * q->settings->n_levels : 2;
}

int queue_init(struct queue *q, uint32_t max_requests, const struct queue_settings *settings)
{
	*q = (struct queue){
		.max = max_requests, .early_ns = CLOCK_NO_DEADLINE, .settings = settings};
	q->ranks = q->few;
	if (n_ranks(q) > 2) {
		q->ranks = calloc(n_ranks(q), sizeof(*q->ranks));
		if (!q->ranks)
			return -ENOMEM;
	}
	for (unsigned i = 0; i < n_ranks(q); i++)
		list_init(&q->ranks[i].lines);
	list_init(&q->aside);
	list_init(&q->suspects);
	list_init(&q->arrivals);
	list_init(&q->spare_lines);
	return 0;
}

void queue_deinit(struct queue *q)
{
	struct list *node;

	assert(q->n == 0 && list_empty(&q->arrivals) && !q->busy && list_empty(&q->aside));
	while ((node = list_first(&q->spare_lines))) {
		list_remove(node);
		free(list_entry(node, struct line, node));
	}
	q->n_spare_lines = 0;
	if (q->ranks != q->few)
		free(q->ranks);
	q->ranks = NULL;
}

bool queue_full(const struct queue *q, uint32_t more)
{
	return q->n >= q->max || q->max - q->n <= more;
}

bool queue_level_full(const struct queue *q, uint32_t level)
{
	uint32_t max = q->settings ? q->settings->policies[level].max_requests : 0;
	const struct rank *r = &q->ranks[2 * level];

	return max > 0 && r[0].n + r[1].n >= max;
}

/* --- Ranks and lines ------------------------------------------------------------------------ */

void queue_note_rank(struct queue *q, unsigned rank)
{
	uint64_t bit = UINT64_C(1) << rank;

	q->busy = list_empty(&q->ranks[rank].lines) ? q->busy & ~bit : q->busy | bit;
}

bool queue_has_turns(const struct queue *q)
{
	return q->busy != 0;
}

unsigned queue_rank(const struct queue *q, unsigned from)
{
	uint64_t rest = from < QUEUE_RANKS_MAX ? q->busy >> from : 0;

	return rest ? from + (unsigned)__builtin_ctzll(rest) : QUEUE_RANKS_MAX;
}

static uint8_t rank_of(const struct request *r)
{
	return (uint8_t)(2 * r->level + r->delayed);
}

static struct line *line_new(struct queue *q, struct client *c, uint8_t rank)
{
	struct list *node = list_first(&q->spare_lines);
	struct line *l;

	if (node) {
		list_remove(node);
		q->n_spare_lines--;
		l = list_entry(node, struct line, node);
	} else {
		l = malloc(sizeof(*l));
		if (!l)
			return NULL;
	}
	l->queue = q;
	l->rank = rank;
	l->aside = false;
	list_init(&l->requests);
	list_init(&l->client_node);
	list_init(&l->node);
	list_push_front(&c->lines, &l->client_node);
	list_push_back(&q->ranks[rank].lines, &l->node);
	queue_note_rank(q, rank);
	return l;
}

static void line_free(struct line *l)
{
	struct queue *q = l->queue;

	list_remove(&l->client_node);
	list_remove(&l->node);
	queue_note_rank(q, l->rank);
	if (q->n_spare_lines >= SPARE_LINES_MAX) {
		free(l);
		return;
	}
	list_push_front(&q->spare_lines, &l->node);
	q->n_spare_lines++;
}

static struct line *line_of(struct queue *q, struct client *c, uint8_t rank)
{
	list_for_each (&c->lines, node) {
		struct line *l = list_entry(node, struct line, client_node);

		if (l->queue == q && l->rank == rank)
			return l;
	}
	return line_new(q, c, rank);
}

struct request *line_first(const struct line *l)
{
	return list_entry(l->requests.next, struct request, node);
}

/* Half of the time that its deadline leaves. */
static uint64_t early_of(const struct request *r)
{
	if (r->deadline_ns == CLOCK_NO_DEADLINE)
		return CLOCK_NO_DEADLINE;
	if (r->deadline_ns <= r->queued_ns)
		return r->queued_ns;
	return r->queued_ns + (r->deadline_ns - r->queued_ns) / 2;
}

static void count_in_line(struct queue *q, struct request *r)
{
	q->ranks[r->line->rank].n++;
	if (!r->line->aside)
		q->rows += r->rows;
	if (r->overdue_ns != CLOCK_NO_DEADLINE)
		heap_add(&q->timeouts, &r->timeout_node, r->overdue_ns);
}

static void count_out_of_line(struct queue *q, struct request *r)
{
	q->ranks[r->line->rank].n--;
	if (!r->line->aside)
		q->rows -= r->rows;
	if (r->overdue_ns != CLOCK_NO_DEADLINE)
		heap_remove(&q->timeouts, &r->timeout_node);
}

static void count_in(struct queue *q, struct request *r)
{
	q->n++;
	q->n_bound += r->device != NULL;
	if (!r->line)
		q->n_suspects++;
	else
		count_in_line(q, r);
	if (early_of(r) < q->early_ns)
		q->early_ns = early_of(r);
	if (r->deadline_ns != CLOCK_NO_DEADLINE)
		heap_add(&q->deadlines, &r->deadline_node, r->deadline_ns);
}

static void note_arrival(struct queue *q, struct request *r, uint64_t now_ns)
{
	r->queued_ns = now_ns;
	list_push_back(&q->arrivals, &r->age_node);
	count_in(q, r);
}

int queue_push(struct queue *q, struct request *r, uint64_t now_ns)
{
	struct line *l = line_of(q, r->client, rank_of(r));
	uint64_t timeout_us;

	if (!l)
		return -ENOMEM;
	timeout_us = queue_settings_timeout(q->settings, r->level, r->timeout_us);
	r->overdue_ns = timeout_us ? clock_add(now_ns, timeout_us * NS_PER_US) : CLOCK_NO_DEADLINE;
	request_set_state(r, REQUEST_QUEUED);
	r->line = l;
	list_push_back(&l->requests, &r->node);
	note_arrival(q, r, now_ns);
	return 0;
}

void queue_push_suspect(struct queue *q, struct request *r, uint64_t now_ns)
{
	request_set_state(r, REQUEST_QUEUED);
	r->suspect = true;
	r->line = NULL;
	list_push_back(&q->suspects, &r->node);
	note_arrival(q, r, now_ns);
}

/* Into arrivals, where its age belongs. */
static void insert_by_age(struct queue *q, struct request *r)
{
	struct list *at = q->arrivals.next;

	while (at != &q->arrivals &&
		list_entry(at, struct request, age_node)->queued_ns < r->queued_ns)
		at = at->next;
	list_insert_before(at, &r->age_node);
}

int queue_push_front(struct queue *q, struct request *r)
{
	struct line *l = NULL;

	if (!r->suspect) {
		l = line_of(q, r->client, rank_of(r));
		if (!l)
			return -ENOMEM;
		queue_bring_back(l);
		list_remove(&l->node);
		list_push_front(&q->ranks[l->rank].lines, &l->node);
	}
	request_set_state(r, REQUEST_QUEUED);
	r->line = l;
	list_push_front(l ? &l->requests : &q->suspects, &r->node);
	insert_by_age(q, r);
	count_in(q, r);
	if (r->sequence)
		sequence_return(r);
	return 0;
}

void queue_remove(struct queue *q, struct request *r)
{
	assert(r->state == REQUEST_QUEUED && q->n > 0);
	list_remove(&r->node);
	list_remove(&r->age_node);
	if (r->deadline_ns != CLOCK_NO_DEADLINE)
		heap_remove(&q->deadlines, &r->deadline_node);
	q->n--;
	q->n_bound -= r->device != NULL;
	if (!r->line) {
		q->n_suspects--;
	} else {
		count_out_of_line(q, r);
		if (list_empty(&r->line->requests))
			line_free(r->line);
		r->line = NULL;
	}
	if (q->n == 0)
		q->early_ns = CLOCK_NO_DEADLINE;
}

struct request *queue_oldest(const struct queue *q)
{
	struct list *node = list_first(&q->arrivals);

	return node ? list_entry(node, struct request, age_node) : NULL;
}

struct request *queue_suspect(const struct queue *q)
{
	struct list *node = list_first(&q->suspects);

	return node ? list_entry(node, struct request, node) : NULL;
}

uint64_t queue_first_deadline(const struct queue *q)
{
	return q->deadlines.root ? q->deadlines.root->at_ns : CLOCK_NO_DEADLINE;
}

struct request *queue_expired(const struct queue *q, uint64_t now_ns)
{
	if (!q->deadlines.root || q->deadlines.root->at_ns > now_ns)
		return NULL;
	return list_entry(q->deadlines.root, struct request, deadline_node);
}

uint64_t queue_first_timeout(const struct queue *q)
{
	return q->timeouts.root ? q->timeouts.root->at_ns : CLOCK_NO_DEADLINE;
}

struct request *queue_overdue(const struct queue *q, uint64_t now_ns)
{
	if (!q->timeouts.root || q->timeouts.root->at_ns > now_ns)
		return NULL;
	return list_entry(q->timeouts.root, struct request, timeout_node);
}

enum queue_action queue_action(const struct queue *q, const struct request *r)
{
	return q->settings->policies[r->level].action;
}

void queue_delay(struct queue *q, struct request *r)
{
	struct line *to = line_of(q, r->client, (uint8_t)(2 * r->level + 1));
	struct line *from = r->line;

	count_out_of_line(q, r);
	r->overdue_ns = CLOCK_NO_DEADLINE;
	if (to) {
		r->delayed = true;
		r->line = to;
		list_remove(&r->node);
		list_push_back(&to->requests, &r->node);
	}
	count_in_line(q, r);
	if (list_empty(&from->requests))
		line_free(from);
}

static uint64_t rows_of(const struct line *l)
{
	uint64_t rows = 0;

	list_for_each (&l->requests, node)
		rows += list_entry(node, struct request, node)->rows;
	return rows;
}

void queue_set_aside(struct queue *q, struct line *l)
{
	assert(!l->aside);
	l->aside = true;
	q->rows -= rows_of(l);
	list_remove(&l->node);
	list_push_back(&q->aside, &l->node);
	queue_note_rank(q, l->rank);
}

void queue_bring_back(struct line *l)
{
	if (!l->aside)
		return;
	l->aside = false;
	l->queue->rows += rows_of(l);
	list_remove(&l->node);
	list_push_back(&l->queue->ranks[l->rank].lines, &l->node);
	queue_note_rank(l->queue, l->rank);
}

void queue_refresh_early(struct queue *q)
{
	q->early_ns = CLOCK_NO_DEADLINE;
	list_for_each (&q->arrivals, node) {
		uint64_t at = early_of(list_entry(node, struct request, age_node));

		if (at < q->early_ns)
			q->early_ns = at;
	}
}
