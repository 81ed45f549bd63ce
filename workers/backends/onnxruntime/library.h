/*
 * library.h: finds and opens libonnxruntime. Where it is looked for, in this order:
 *
 *   1. `library` of [backend.onnxruntime]: a path or a name for dlopen(3)
 *   2. `venv` there: the onnxruntime package of that Python virtual environment
 *   3. $MODELD_ONNXRUNTIME: as `library`
 *   4. the usual places: the dynamic linker's libonnxruntime.so.1 and libonnxruntime.so; the
 *      onnxruntime package in $VIRTUAL_ENV, in venv/ beside the folder of this backend, and in
 *      Debian's dist-packages; /usr/local/lib, /usr/lib/x86_64-linux-gnu, /usr/lib
 *
 * One that 1 to 3 name must be good; of the usual places the first good one is taken.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_LIBRARY_H
#define WORKERS_BACKENDS_ONNXRUNTIME_LIBRARY_H

#include "base/cleanup.h"
#include "workers/backend.h"
#include "workers/backends/onnxruntime/ort.h"

struct library {
	const struct OrtApiBase *base; /* NULL: not open */
	const struct OrtApi *api;      /* at least ORT_API_VERSION */
	char path[4096];	       /* what was opened */
};

/* Whether the library has the table of this number: ONNX Runtime 1.N has the tables 1 to N. Asking
 * the library itself would make it complain on standard error. */
bool library_offers(const struct OrtApiBase *base, uint32_t api_version);

/* Open it for good: the library is never closed again, its threads and exit handlers stay.
 * MODELD_INTERNAL where there is none that will do; error names what to install or to set. */
_must_use_ enum modeld_code library_open(
	struct library *l, const struct modeld_host *host, struct modeld_error *error);

#endif
