/*
 * queue.h: what waits for one model. Bounded. A model has levels (queue_settings.h): whatever waits in one goes ahead of
 * all in the next, and what is delayed, for its timeout has passed, goes behind all others of its level: a rank each. In a
 * rank each client has a line of its own and lines take turns, so that a flood from one client does not delay another;
 * requests that lost a worker ("suspects") wait apart, in front of all. Every operation is O(1), but for finding a
 * client's line, which is linear in the number of models and ranks that this client has requests queued in, and for the
 * deadlines and timeouts, which are heaps.
 */
#ifndef DISPATCH_QUEUE_H
#define DISPATCH_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/heap.h"
#include "dispatch/queue_settings.h"

#define QUEUE_RANKS_MAX (2 * QUEUE_LEVELS_MAX) /* of each level what waits, and what is delayed */

struct client;
struct request;

/* One client's requests in one rank of a queue; there is one only while it has some. */
struct line {
	struct list node;	 /* in rank.lines, queue.aside or .spare_lines */
	struct list client_node; /* in client.lines */
	struct list requests;	 /* struct request.node, oldest first */
	struct queue *queue;	 /* borrow */
	uint8_t rank;
	bool aside; /* in queue.aside */
};

struct rank {
	struct list lines; /* whose turn it is comes first */
	uint32_t n;	   /* requests in its lines, those aside included */
};

struct queue {
	const struct queue_settings *settings; /* borrow; NULL: one level, without timeouts */
	struct rank *ranks; /* two for each level, in their order; `few`, or own */
	struct rank few[2];
	uint64_t busy;	       /* a bit for each rank that has lines with turns */
	struct list aside;     /* those that are not to be sent now (output_share.h) */
	struct list suspects;  /* struct request.node */
	struct list arrivals;  /* struct request.age_node: all of them, by queued_ns */
	struct heap deadlines; /* struct request.deadline_node: of those that have one */
	struct heap timeouts;  /* struct request.timeout_node: likewise, of those in lines */
	uint32_t n;	       /* requests, suspects included */
	uint32_t n_suspects;
	uint32_t n_bound; /* that run on a certain device alone; suspects included */
	uint32_t max;
	uint64_t rows;	   /* of what is in lines that have turns */
	uint64_t early_ns; /* no deadline calls for sending before this; may be too early, never
	                         too late */
	struct list spare_lines;
	uint32_t n_spare_lines;
};

/* settings: borrowed for its life; may be NULL. -ENOMEM: where it has several levels */
_must_use_ int queue_init(
	struct queue *q, uint32_t max_requests, const struct queue_settings *settings);
/* Asserts that it is empty. */
void queue_deinit(struct queue *q);

/* With so many more that are not in it? */
bool queue_full(const struct queue *q, uint32_t more);
/* Has the level as many as it may have? Never where its policy has no bound. */
bool queue_level_full(const struct queue *q, uint32_t level);
/* At the end of its client's line in its level; state -> QUEUED; its timeout begins. -ENOMEM (no line) */
_must_use_ int queue_push(struct queue *q, struct request *r, uint64_t now_ns);
/* As a suspect, beyond the bound (there are never more than were in flight). */
void queue_push_suspect(struct queue *q, struct request *r, uint64_t now_ns);
/*
 * Back to where it was, with the age that it had, state -> QUEUED: it was taken and then not sent.
 * Several are given back last first. O(n). -ENOMEM (no line; never for a suspect)
 */
_must_use_ int queue_push_front(struct queue *q, struct request *r);
/* Out of the queue; its state is the caller's business. */
void queue_remove(struct queue *q, struct request *r);
/* The longest in the queue, and the suspect to go next; NULL: none. */
struct request *queue_oldest(const struct queue *q);
struct request *queue_suspect(const struct queue *q);
/* One whose deadline has passed; NULL: none. */
struct request *queue_expired(const struct queue *q, uint64_t now_ns);
/* The first deadline of all; CLOCK_NO_DEADLINE: there is none. */
uint64_t queue_first_deadline(const struct queue *q);
/* One that has waited for its timeout; NULL: none. */
struct request *queue_overdue(const struct queue *q, uint64_t now_ns);
/* The first timeout of all; CLOCK_NO_DEADLINE: there is none. */
uint64_t queue_first_timeout(const struct queue *q);
/* Its timeout has passed: what is to become of it. */
enum queue_action queue_action(const struct queue *q, const struct request *r);
/* It has no timeout any more, and goes behind all of its level that are not delayed; for want of memory it stays where it
 * is. */
void queue_delay(struct queue *q, struct request *r);
/* Are there lines with turns? */
bool queue_has_turns(const struct queue *q);
/* The first rank, from this one on, that has lines with turns; QUEUE_RANKS_MAX: none. */
unsigned queue_rank(const struct queue *q, unsigned from);
/* Lines were taken off the rank's list, or put back. */
void queue_note_rank(struct queue *q, unsigned rank);
/* Oldest of the line. */
struct request *line_first(const struct line *l);
/* A line (in rank.lines) has no turns until it is brought back; what is in it may leave the queue meanwhile. O(n) of
 * the line. */
void queue_set_aside(struct queue *q, struct line *l);
/* Its turn comes last. Harmless when it is not aside. */
void queue_bring_back(struct line *l);
/* Make early_ns exact: O(n). */
void queue_refresh_early(struct queue *q);

#endif
