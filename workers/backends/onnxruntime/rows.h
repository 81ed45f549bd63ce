/*
 * rows.h: whether requests to a model may be joined along the first dimension without any answer
 * changing: whether row i of every output depends on row i of the inputs and on nothing else of
 * them, not on how many rows there are either.
 *
 * It is worked out over the graph, operator by operator, from a list of those that are known to keep
 * rows apart, each under its conditions on axes and shapes (rows_rules.c). What is not known to be
 * safe is not safe: the answer "no" may be wrong, "yes" may not.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_ROWS_H
#define WORKERS_BACKENDS_ONNXRUNTIME_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "workers/backend.h"

struct rows_verdict {
	bool apart;
	char why[256]; /* where they are not: what mixes them, printable but for names of the model's */
};

/*
 * Look at the model in the file `path`, whose tensors are declared so; the first dimension of every
 * one of them is free. -ENOMEM; what else goes wrong is a reason not to join.
 */
__attribute__((warn_unused_result)) int rows_judge(const char *path,
	const struct modeld_declaration *inputs, size_t n_inputs,
	const struct modeld_declaration *outputs, size_t n_outputs,
	struct rows_verdict *ret_verdict);

#endif
