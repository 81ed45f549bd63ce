/* instance_pbtxt.h: instance_group of a config.pbtxt into a version's settings: which devices, and how many instances on each. */
#ifndef MODELS_INSTANCE_PBTXT_H
#define MODELS_INSTANCE_PBTXT_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "models/settings.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	INSTANCE_PBTXT_E_INVALID = 1, /* *ret_what, a literal, says what is wrong */
};

/*
 * Sets devices and instances of `to`. KIND_AUTO without gpus is the GPUs that there are workers on, else the CPUs; KIND_MODEL all
 * devices. Groups that are passive get no instances. *odd gets lines on GPUs that have no worker; `file` is named there.
 *
 * INSTANCE_PBTXT_E_INVALID, -ENOMEM
 */
_must_use_ int instance_pbtxt_map(const Inference__ModelConfig *m, const struct models_settings *s,
	struct version_settings *to, const char *file, char **odd, const char **ret_what);
/* The i-th field of a group that is there and does nothing, "instance_group.host_policy"; NULL: there are no more. */
const char *instance_pbtxt_ignored(const Inference__ModelConfig *m, size_t i);

#endif
