/*
 * custom.h: libraries of operators that ONNX Runtime does not have itself (its "custom op libraries",
 * such as that of onnxruntime-extensions).
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_CUSTOM_H
#define WORKERS_BACKENDS_ONNXRUNTIME_CUSTOM_H

#include "workers/backends/onnxruntime/runtime.h"

/*
 * Have the operators of each library of `list`, names or paths with commas between, known to sessions
 * made with `o`. One that has none (no RegisterCustomOps) is opened for those behind it, which may
 * need its symbols. Libraries stay open for the life of the process. NULL: none.
 *
 * MODELD_INTERNAL  one cannot be opened, or ONNX Runtime refuses it
 */
_must_use_ enum modeld_code custom_register(struct OrtSessionOptions *o, const struct runtime *r,
	const char *list, struct modeld_error *error);
/* Can the libraries of the list be read, as far as they are paths? None is opened. MODELD_INTERNAL */
_must_use_ enum modeld_code custom_check(const char *list, struct modeld_error *error);

#endif
