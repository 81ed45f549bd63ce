/* warmup_pbtxt.h: model_warmup of a config.pbtxt into a version's settings. */
#ifndef MODELS_WARMUP_PBTXT_H
#define MODELS_WARMUP_PBTXT_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	WARMUP_PBTXT_E_INVALID = 1, /* *ret_what, a literal, says what is wrong */
};

/*
 * Add one to s->warmups. Without a name it is called by its number, from 1. One with a batch_size of 0 is left out, as Triton
 * does.
 *
 * WARMUP_PBTXT_E_INVALID, -ENOMEM
 */
_must_use_ int warmup_pbtxt_map(const Inference__ModelWarmup *m, size_t number,
	struct version_settings *s, const char **ret_what);

#endif
