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
	uint64_t batch; /* of a Run: its number; else 0 */
	bool cancelled; /* nobody waits for it any more */
	size_t n;
	uint8_t message[]; /* packed */
};

/* batch: the number of a Run, else 0. NULL: no memory. */
struct job *job_new(uint64_t batch, const uint8_t *message, size_t n);

struct lane {
	struct model *model;	   /* borrow: its own */
	uint32_t index;		   /* of the instance */
	void *instance;		   /* the backend's: for whoever runs the lane */
	struct transfer *transfer; /* own: its stream and its copies; NULL on a host */
	struct list node;	   /* crew.c: in its list of lanes that wait for a thread */
	struct list jobs;	   /* crew.c: own */
	atomic_bool busy;	   /* crew.c: a thread has it, or jobs wait */
	_Atomic uint64_t
		cancelled; /* crew.c: the last batch that began here, or is about to, that nobody waits for */
};

/* Idle, with nothing waiting. */
void lane_init(struct lane *l, struct model *m, uint32_t index);
/* Nobody waits for the batch any more, which runs there. Any thread. */
bool lane_is_cancelled(const struct lane *l, uint64_t batch);
/* Drops what waits. Accepts a zeroed lane. */
void lane_deinit(struct lane *l);

#endif
