/*
 * provider.h: ONNX Runtime's CUDA provider: what a session on a GPU is told, and what is to be done where the library has
 * no such provider, or it cannot be loaded.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_PROVIDER_H
#define WORKERS_BACKENDS_ONNXRUNTIME_PROVIDER_H

#include "workers/backends/onnxruntime/runtime.h"

/* Keys of [parameters] and [backend.onnxruntime] that begin so are options of the provider: cuda_gpu_mem_limit is its
 * gpu_mem_limit. */
#define PROVIDER_PREFIX "cuda_"

/*
 * Have a session with these options run on the GPU, all of its work in `stream` (a cudaStream_t), which is valid as long as
 * it. Provider options are the model's and, of those that it does not name, the daemon's.
 *
 * MODELD_INTERNAL  the library has no such provider, or it cannot be loaded: error says what to install; an option
 *                  that is the worker's to set; ONNX Runtime's own errors
 */
_must_use_ enum modeld_code provider_add(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, const void *stream, struct modeld_error *error);

#endif
