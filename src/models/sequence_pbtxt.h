/* sequence_pbtxt.h: sequence_batching of a config.pbtxt into a version's settings. */
#ifndef MODELS_SEQUENCE_PBTXT_H
#define MODELS_SEQUENCE_PBTXT_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/sequence_settings.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	SEQUENCE_PBTXT_E_INVALID = 1, /* field and what say which of it is wrong, and how */
};

/* What is wrong: string literals. */
struct sequence_pbtxt_error {
	const char *field;
	const char *what;
};

/* DTYPE_INVALID: none of ours. */
enum dtype pbtxt_dtype(Inference__DataType type);
/* *ret_settings is the caller's to free. SEQUENCE_PBTXT_E_INVALID; -ENOMEM */
_must_use_ int sequence_pbtxt_map(const Inference__ModelSequenceBatching *m,
	struct sequence_settings **ret_settings, struct sequence_pbtxt_error *error);

#endif
