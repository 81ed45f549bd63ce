/*
 * fake_onnx.h: a worker without a worker for tests of the onnxruntime backend: opens the backend,
 * gives it settings, loads models of tests/models/onnx and runs them. Asserts what the backend
 * promises on the way. Tests run in the repository's root.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_ONNX_H
#define TESTS_UNIT_WORKERS_FAKE_ONNX_H

#include <limits.h>
#include <stdbool.h>

#include "workers/backend.h"

#define ONNX_OUTPUTS_MAX 2

struct onnx_setting {
	const char *key; /* NULL: the end */
	const char *value;
};

/* What the backend is told and what it said. */
struct onnx_world {
	struct modeld_host host;
	const struct modeld_backend *backend;
	char venv[PATH_MAX];
	struct onnx_setting settings[4]; /* the first one says where ONNX Runtime is */
	struct onnx_setting parameters[4];
	bool limited; /* model.conf says max_batch_size: */
	uint32_t max_batch_size;
	char log[4096];
};

struct onnx_model {
	char path[PATH_MAX];
	struct modeld_model_spec spec;
	struct modeld_model_info info;
	struct modeld_error error; /* of the last call */
	void *model;
	void *instance;
};

/* One run: the batch first, so that output() finds the rest. */
struct onnx_run {
	struct modeld_batch batch;
	struct modeld_tensor inputs[2];
	const struct modeld_tensor *in[2];
	uint8_t wanted[ONNX_OUTPUTS_MAX];
	struct {
		enum modeld_dtype dtype;
		uint32_t rank;
		int64_t dims[MODELD_BACKEND_RANK_MAX];
		uint64_t bytes;
		void *data;
		unsigned calls;
	} out[ONNX_OUTPUTS_MAX];
	void (*on_output)(struct onnx_run *r); /* NULL: nothing happens when memory is asked for */
	const char *parameter; /* the key of the request's one parameter; NULL: it has none */
	bool refuse;	       /* give no memory */
};

extern struct onnx_world onnx_world;

/* For TestSuite(.init): opens the backend's shared object. */
void onnx_open(void);
/* What load() would be told of a model of tests/models/onnx, which is not loaded. */
void onnx_model_spec(struct onnx_model *f, const char *name);
/* The same with a backend that is linked into the test. */
void onnx_start(modeld_backend_fn entry);
enum modeld_code onnx_try_load(struct onnx_model *m, const char *name);
void onnx_load(struct onnx_model *m, const char *name);
void onnx_unload(struct onnx_model *m);
/* All outputs are wanted. */
void onnx_prepare(struct onnx_run *r, const struct onnx_model *m);
void onnx_input(struct onnx_run *r, size_t index, enum modeld_dtype dtype, const int64_t *dims,
	uint32_t rank, const void *data, uint64_t bytes);
enum modeld_code onnx_run(struct onnx_run *r, struct onnx_model *m);
void onnx_run_ok(struct onnx_run *r, struct onnx_model *m);
void onnx_done(struct onnx_run *r);
/* For on_output: makes the first element of input 0 100 (f32). */
void onnx_overwrite_input(struct onnx_run *r);

#endif
