/*
 * options.h: what the configuration says about a model's session. Each key is looked for in the
 * model's [parameters], then in the daemon's [backend.onnxruntime]:
 *
 *   intra_op_threads  threads that one operator uses; 0: as many as there are cores (default 1)
 *   inter_op_threads  operators of one run that may run side by side (default 1: one by one)
 *   spin              yes: those threads wait for work by spinning, which is quick and burns CPU
 *                     (default no)
 *   optimization      none, basic, extended or all (default all)
 *   custom_op_libraries
 *                     libraries of operators, with commas between; of both places (default none)
 *   arena             no: memory is taken and given back run by run (default yes)
 *   arena_shrinkage   auto: what a run far above the usual took is given back; yes: what any run
 *                     took; no (default auto)
 *   memory_pattern    no: memory of a run is not planned ahead by the one before (default yes)
 *   cuda_NAME         on a GPU: option NAME of the CUDA provider (see provider.h)
 *   batch             auto, yes or no: whether requests may be joined along the first dimension
 *                     (default auto: see declare.h)
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_OPTIONS_H
#define WORKERS_BACKENDS_ONNXRUNTIME_OPTIONS_H

#include "workers/backends/onnxruntime/runtime.h"

enum shrinkage {
	SHRINK_UNUSUAL,
	SHRINK_ALWAYS,
	SHRINK_NEVER,
};

enum batch_option {
	BATCH_AUTO,
	BATCH_YES,
	BATCH_NO,
};

/* Make session options for the host's device, and, on a GPU, the stream of an instance; NULL: a session there that only
 * declares. The caller releases them. MODELD_INTERNAL for a value that is none, and where the device cannot be had. */
_must_use_ enum modeld_code options_new(struct OrtSessionOptions **ret_options,
	const struct runtime *r, const struct modeld_model_spec *spec,
	const struct modeld_instance_spec *instance, struct modeld_error *error);
/* SHRINK_NEVER also where there is no arena. */
_must_use_ enum modeld_code options_shrinkage(const struct runtime *r,
	const struct modeld_model_spec *spec, enum shrinkage *ret_shrinkage,
	struct modeld_error *error);
_must_use_ enum modeld_code options_batch(const struct runtime *r,
	const struct modeld_model_spec *spec, enum batch_option *ret_batch,
	struct modeld_error *error);
/* Which values are none, without a session: a model's own, or, where spec is NULL, the daemon's. */
void options_check(const struct modeld_host *host, const struct modeld_model_spec *spec,
	const struct modeld_faults *faults);

#endif
