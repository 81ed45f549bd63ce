/*
 * runtime.h: ONNX Runtime as this process has it: library, environment, allocator, log.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_RUNTIME_H
#define WORKERS_BACKENDS_ONNXRUNTIME_RUNTIME_H

#include "base/cleanup.h"
#include "workers/backend.h"
#include "workers/backends/onnxruntime/library.h"
#include "workers/backends/onnxruntime/ort.h"

struct runtime {
	const struct modeld_host *host; /* borrow */
	struct library library;
	const struct OrtApi *api;	     /* borrow; NULL: not started */
	struct OrtEnv *env;		     /* own */
	struct OrtMemoryInfo *memory;	     /* own; describes plain host memory */
	struct OrtMemoryInfo *device_memory; /* own; describes the GPU's; NULL: there is none */
	struct OrtAllocator *allocator;	     /* borrow; host memory */
	bool has_shape;			     /* TensorTypeAndShape_HasShape is there */
	/* That models use together where nothing is said: above 1, they share a pool of them. At least 1. */
	uint32_t threads;
};

/* Open the library and start it; nothing happens where that was done. On failure nothing is kept,
 * and it may be tried again. `host` is borrowed for ever. */
_must_use_ enum modeld_code runtime_start(
	struct runtime *r, const struct modeld_host *host, struct modeld_error *error);

/* Is the worker's device a GPU? */
bool runtime_on_gpu(const struct runtime *r);

/*
 * Turn what a function of ONNX Runtime returned into a code and a text; the status is released.
 * MODELD_OK for NULL. `doing` is put in front of the text.
 */
_must_use_ enum modeld_code runtime_check(const struct runtime *r, struct OrtStatus *status,
	const char *doing, struct modeld_error *error);

/* The same code with a formatted text: for `return error_set(...)`. */
enum modeld_code error_set(
	struct modeld_error *error, enum modeld_code code, const char *format, ...) _printf_(3, 4);

#endif
