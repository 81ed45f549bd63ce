/*
 * keys.h: the keys that mean something in [backend.onnxruntime] and in a model's [parameters]. Others
 * are reported, once a process and once a load: a misspelt one would change nothing, unnoticed.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_KEYS_H
#define WORKERS_BACKENDS_ONNXRUNTIME_KEYS_H

#include <stdbool.h>

#include "workers/backend.h"

/* Is it an option of the CUDA provider that the worker sets itself? */
bool keys_is_ours(const char *key);
/* Each unknown key is a line in the host's log. */
void keys_check_settings(const struct modeld_host *host);
void keys_check_parameters(const struct modeld_host *host, const struct modeld_model_spec *spec);
/* The same as faults: of a model's parameters, or, where spec is NULL, of the settings. */
void keys_judge(const struct modeld_host *host, const struct modeld_model_spec *spec,
	const struct modeld_faults *faults);

#endif
