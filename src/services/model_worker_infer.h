/*
 * model_worker_infer.h: one inference that an InferRequest asks for: of its messages a model gets one
 * tensor and gives one.
 */
#ifndef SERVICES_MODEL_WORKER_INFER_H
#define SERVICES_MODEL_WORKER_INFER_H

#include <stdint.h>

#include "services/infer.h"

struct model_worker_infer {
	struct infer infer; /* first */
	uint32_t output;    /* which one is asked for */
	char region[33];    /* token of the region that it goes to; "": none */
};

extern const struct infer_kind model_worker_infer_kind;

#endif
