/*
 * model_worker_reply.h: an InferResponse: a small packed head, and the tensor data where the worker
 * wrote it.
 */
#ifndef SERVICES_MODEL_WORKER_REPLY_H
#define SERVICES_MODEL_WORKER_REPLY_H

#include "services/infer_reply.h"

/* infer_kind.reply of an i that is a struct model_worker_infer. INFER_E_FAILED */
_must_use_ int model_worker_reply(
	struct infer *i, const struct request_result *result, struct infer_reply *p);

#endif
