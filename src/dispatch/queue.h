/*
 * queue.h: what waits for one model. Bounded. Each client has a line of its own and lines take
 * turns, so that a flood from one client does not delay another; requests that lost a worker
 * ("suspects") wait apart, in front of all. Every operation is O(1), but for finding a client's
 * line, which is linear in the number of models that this client has requests queued for, and for
 * the deadlines, which are a heap.
 */
#ifndef DISPATCH_QUEUE_H
#define DISPATCH_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/heap.h"

struct client;
struct request;

/* One client's requests in one queue; there is one only while it has some. */
struct line {
	struct list node;	 /* in queue.lines, .aside or .spare_lines */
	struct list client_node; /* in client.lines */
	struct list requests;	 /* struct request.node, oldest first */
	struct queue *queue;	 /* borrow */
	bool aside;		 /* in queue.aside */
};

struct queue {
	struct list lines;     /* whose turn it is comes first */
	struct list aside;     /* those that are not to be sent now (output_share.h) */
	struct list suspects;  /* struct request.node */
	struct list arrivals;  /* struct request.age_node: all of them, by queued_ns */
	struct heap deadlines; /* struct request.deadline_node: of those that have one */
	uint32_t n;	       /* requests, suspects included */
	uint32_t n_suspects;
	uint32_t max;
	uint64_t rows;	   /* of what is in lines that have turns */
	uint64_t early_ns; /* no deadline calls for sending before this; may be too early, never
	                         too late */
	struct list spare_lines;
	uint32_t n_spare_lines;
};

void queue_init(struct queue *q, uint32_t max_requests);
/* Asserts that it is empty. */
void queue_deinit(struct queue *q);

/* With so many more that are not in it? */
bool queue_full(const struct queue *q, uint32_t more);
/* At the end of its client's line; state -> QUEUED. -ENOMEM (no line) */
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
/* Oldest of the line. */
struct request *line_first(const struct line *l);
/* A line (in queue.lines) has no turns until it is brought back; what is in it may leave the queue meanwhile. O(n) of
 * the line. */
void queue_set_aside(struct queue *q, struct line *l);
/* Its turn comes last. Harmless when it is not aside. */
void queue_bring_back(struct line *l);
/* Make early_ns exact: O(n). */
void queue_refresh_early(struct queue *q);

#endif
