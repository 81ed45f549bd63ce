/*
 * lane.h: an instance of a model in a worker's process: it runs one batch at a time, in the order in which
 * they were sent. What runs on one lane has nothing to do with the others, until the process ends. For
 * src/pool alone.
 */
#ifndef POOL_LANE_H
#define POOL_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct flight;

/* What is in flight on a lane, or on all of a worker, and how long it should take. */
struct backlog {
	uint32_t n;	    /* batches */
	uint64_t expect_ns; /* sum of flight.expect_ns */
	uint64_t since_ns;  /* when what runs began: sent where nothing was, or the last answer */
};

/* Harmless sums; asserted to close: with no batch nothing is expected. */
void backlog_add(struct backlog *l, uint64_t expect_ns, uint64_t now_ns);
void backlog_remove(struct backlog *l, uint64_t expect_ns, uint64_t now_ns);
/* How long whoever runs it has kept it. 0: there is nothing. */
uint64_t backlog_kept_ns(const struct backlog *l, uint64_t now_ns);
/* When it should be done, from now: by what it should take, or, where it is late, by how long it has kept whoever
 * runs it already. 0: there is nothing. */
uint64_t backlog_ns(const struct backlog *l, uint64_t now_ns);

struct pool_lane {
	struct list node;    /* in worker.busy while it has batches */
	struct list flights; /* struct flight.lane_node, in the order sent */
	struct backlog backlog;
	uint32_t index; /* among the model's in this process */
};

void lane_init(struct pool_lane *l, uint32_t index);
/* A batch is sent there; it was answered, or is lost. */
void lane_enter(struct pool_lane *l, struct flight *f, uint64_t now_ns);
void lane_leave(struct pool_lane *l, struct flight *f, uint64_t now_ns);
/* The batch that runs. There is one (asserted). */
struct flight *lane_front(const struct pool_lane *l);
/* Of n lanes the one that should be done first. */
struct pool_lane *lane_pick(struct pool_lane *lanes, uint32_t n, uint64_t now_ns);

#endif
