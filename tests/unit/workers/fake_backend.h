/*
 * fake_backend.h: a backend whose run() is the test's, and which remembers what it was given.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_BACKEND_H
#define TESTS_UNIT_WORKERS_FAKE_BACKEND_H

#include <stdbool.h>

#include "workers/backend.h"
#include "workers/model.h"

#define FAKE_RUNS_MAX 32u

struct fake_run {
	size_t n_inputs;
	const void *data[4];
	uint64_t bytes[4];
	int shared[4];
	int64_t rows;
	char parameter[32]; /* the value of "key" */
};

struct fake_backend {
	struct modeld_backend backend;
	enum modeld_code (*run)(struct fake_backend *f, const struct modeld_batch *batch,
		struct modeld_error *error); /* called after it was remembered */
	struct fake_run runs[FAKE_RUNS_MAX];
	size_t n_runs;
	struct modeld_declaration inputs[4];
	struct modeld_declaration outputs[4];
	struct lane lane;
	struct model model; /* loaded */
};

/* A model with n_inputs inputs "in0" ... and n_outputs outputs "out0" ... of that dtype and shape
 * [-1, width], that batches up to max_batch_size rows. run: echo. */
void fake_backend_init(struct fake_backend *f, size_t n_inputs, size_t n_outputs,
	enum modeld_dtype dtype, int64_t width, uint32_t max_batch_size);
/* Ask for output `index`, as run() of a backend does. */
void *fake_output(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
	const int64_t *dims, uint32_t rank, uint64_t bytes, struct modeld_error *error);
/* Output i is input 0, for each wanted output. */
enum modeld_code fake_echo(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error);

#endif
