/* claims_pbtxt.h: input and output of a config.pbtxt. Part of model_pbtxt.h. */
#ifndef MODELS_CLAIMS_PBTXT_H
#define MODELS_CLAIMS_PBTXT_H

#include "base/cleanup.h"
#include "dispatch/claims.h"
#include "proto/kserve/model_config.pb-c.h"

/*
 * *ret_claims is the caller's to free; NULL: it says nothing. A tensor that no model can have (its name is too long, it has more
 * dimensions than there may be), or that is one too many, is left out. -ENOMEM
 */
_must_use_ int claims_pbtxt_map(const Inference__ModelConfig *config, struct claims **ret_claims);

#endif
