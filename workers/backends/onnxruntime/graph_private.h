/*
 * graph_private.h: between graph.c and graph_tensor.c. All return 0, PB_E_BROKEN, PB_E_LONG or -errno.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_GRAPH_PRIVATE_H
#define WORKERS_BACKENDS_ONNXRUNTIME_GRAPH_PRIVATE_H

#include "workers/backends/onnxruntime/graph.h"

/* A field of integers or floats, packed or not, behind the *n numbers that are there; *n becomes -1
 * where they are more than GRAPH_NUMBERS_MAX. */
_must_use_ int graph_add_varints(
	struct pb_file *f, const struct pb_field *field, int64_t *numbers, int *n);
_must_use_ int graph_add_floats(
	struct pb_file *f, const struct pb_field *field, int64_t *numbers, int *n);

_must_use_ int graph_read_tensor(struct pb_file *f, struct pb_range r, struct graph_tensor *t);
/* A sparse constant is known by its name alone. */
_must_use_ int graph_read_sparse(struct pb_file *f, struct pb_range r, struct graph_tensor *t);

#endif
