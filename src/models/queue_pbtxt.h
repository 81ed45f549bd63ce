/* queue_pbtxt.h: dynamic_batching of a config.pbtxt into a version's settings. */
#ifndef MODELS_QUEUE_PBTXT_H
#define MODELS_QUEUE_PBTXT_H

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "models/pbtxt_error.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	QUEUE_PBTXT_E_INVALID = 1, /* the error says which of it is wrong, and how */
};

/* Into max_queue_delay_us, max_queue_size and queue of *s, whose max_batch_size is set. QUEUE_PBTXT_E_INVALID; -ENOMEM */
_must_use_ int queue_pbtxt_map(const Inference__ModelDynamicBatching *m, struct version_settings *s,
	struct pbtxt_error *error);

#endif
