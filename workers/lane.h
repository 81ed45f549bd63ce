/*
 * lane.h: one instance of a model, and the batches that wait for it. A lane runs one batch at a time,
 * in the order in which they came; lanes run beside each other.
 */
#ifndef WORKERS_LANE_H
#define WORKERS_LANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

struct model;
struct transfer;

/* A message that waits, as it came. */
struct job {
	struct list node;
	size_t n;
	uint8_t message[]; /* packed */
};

/* NULL: no memory. */
struct job *job_new(const uint8_t *message, size_t n);

struct lane {
	struct model *model;	   /* borrow: its own */
	uint32_t index;		   /* of the instance */
	void *instance;		   /* the backend's: for whoever runs the lane */
	struct transfer *transfer; /* own: its stream and its copies; NULL on a host */
	struct list node;	   /* crew.c: in its list of lanes that wait for a thread */
	struct list jobs;	   /* crew.c: own */
	atomic_bool busy;	   /* crew.c: a thread has it, or jobs wait */
};

/* Idle, with nothing waiting. */
void lane_init(struct lane *l, struct model *m, uint32_t index);
/* Drops what waits. Accepts a zeroed lane. */
void lane_deinit(struct lane *l);

#endif
