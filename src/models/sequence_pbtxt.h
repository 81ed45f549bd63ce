/* sequence_pbtxt.h: sequence_batching of a config.pbtxt into a version's settings. */
#ifndef MODELS_SEQUENCE_PBTXT_H
#define MODELS_SEQUENCE_PBTXT_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/sequence_settings.h"
#include "models/pbtxt_error.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	SEQUENCE_PBTXT_E_INVALID = 1, /* the error says which of it is wrong, and how */
};

/* DTYPE_INVALID: none of ours. */
enum dtype pbtxt_dtype(Inference__DataType type);
/* *ret_settings is the caller's to free. SEQUENCE_PBTXT_E_INVALID; -ENOMEM */
_must_use_ int sequence_pbtxt_map(const Inference__ModelSequenceBatching *m,
	struct sequence_settings **ret_settings, struct pbtxt_error *error);

#endif
