/*
 * executor.h: one Run message into one Done message. Items that can be joined are run as one, all
 * others one after another; what goes wrong with one item is its own result. Each thread has an
 * executor of its own.
 */
#ifndef WORKERS_EXECUTOR_H
#define WORKERS_EXECUTOR_H

#include <pthread.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "shm/view.h"
#include "workers/lane.h"
#include "workers/model.h"
#include "workers/outputs.h"
#include "workers/pinned.h"
#include "workers/regions.h"

struct executor;

/* What an executor works on; borrowed for its life. */
struct executor_parts {
	const struct regions *regions;
	struct outputs *outputs;
	pthread_mutex_t *memory; /* held to use regions and outputs */
	uint64_t scratch_max;	 /* bytes that inputs may be copied into, at most */
	struct pinned *pinned;	 /* NULL on a host */
	/* Send an answer of an item ahead of the batch's, with the number of `hold`, which is the daemon's then. Any
	 * thread. -EMSGSIZE: it does not fit a message; -errno: nobody is there any more */
	int (*say_partial)(void *data, struct wire_partial *partial, struct hold *hold);
	/* Let go of what was said and is still gathering. Any thread. As say_partial() */
	int (*flush)(void *data);
	void *data;	  /* borrow: say_partial's and flush()'s */
	uint64_t wait_ns; /* that an item that runs alone waits for output memory, at most */
};

/* -ENOMEM */
_must_use_ int executor_new(struct executor **ret_executor, const struct executor_parts *parts);
struct executor *executor_free(struct executor *e);
DEFINE_CLEANUP(struct executor *, executor_free)

enum {
	EXECUTOR_E_FATAL = 1, /* the backend says that the process cannot go on */
};

/*
 * Run a batch. ret_done borrows from the executor until the next call, and is sent after
 * executor_number(), or refused. Calls malloc() only until it has seen as large a batch before.
 *
 * EXECUTOR_E_FATAL  executor_fatal() says why; ret_done is of no use
 */
_must_use_ int executor_run(struct executor *e, const struct lane *lane, const struct wire_run *run,
	struct wire_done *ret_done);
/* Give the holds of the results their numbers, which makes them the daemon's. parts.memory is held, and stays so
 * until `done` has its place among what is sent: their order is the numbers'. */
void executor_number(struct executor *e, struct wire_done *done);
/* After EXECUTOR_E_FATAL: printable text, borrowed until the next call. */
const char *executor_fatal(const struct executor *e);
/* The answer does not fit a message: gives its outputs back, numbered or not; every item that was not answered ahead of it
 * fails with a short text. */
void executor_refuse(struct executor *e, struct wire_done *done);

#endif
