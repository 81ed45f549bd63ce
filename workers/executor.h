/*
 * executor.h: one Run message into one Done message. Items that can be joined are run as one, all
 * others one after another; what goes wrong with one item is its own result, and nothing here is
 * fatal.
 */
#ifndef WORKERS_EXECUTOR_H
#define WORKERS_EXECUTOR_H

#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "shm/view.h"
#include "workers/models.h"
#include "workers/outputs.h"
#include "workers/regions.h"

struct executor;

/* What an executor works on; borrowed for its life. */
struct executor_parts {
	const struct view *input;
	const struct regions *regions;
	struct outputs *outputs;
	uint64_t scratch_max; /* bytes that inputs may be copied into, at most */
};

/* -ENOMEM */
_must_use_ int executor_new(struct executor **ret_executor, const struct executor_parts *parts);
struct executor *executor_free(struct executor *e);
DEFINE_CLEANUP(struct executor *, executor_free)

/*
 * Run a batch. ret_done borrows from the executor until the next call. The outputs belong to
 * run->batch in parts.outputs. Calls malloc() only until it has seen as large a batch before.
 */
void executor_run(struct executor *e, const struct model *m, const struct wire_run *run,
	struct wire_done *ret_done);
/* The answer to a batch whose results do not fit a message: gives its outputs back; every item
 * fails with a short text. */
void executor_refuse(struct executor *e, const struct wire_run *run, struct wire_done *ret_done);

#endif
