/*
 * kserve_reply.h: a ModelInferResponse: names and shapes, then raw_output_contents, one for each output,
 * where the worker wrote it.
 */
#ifndef SERVICES_KSERVE_REPLY_H
#define SERVICES_KSERVE_REPLY_H

#include "services/infer_reply.h"

/* infer_kind.reply of an i that is a struct kserve_infer. INFER_E_FAILED */
_must_use_ int kserve_reply(
	struct infer *i, const struct request_result *result, struct infer_reply *p);
/* The same in a ModelStreamInferResponse, with the parameter triton_final_response. */
_must_use_ int kserve_stream_reply(
	struct infer *i, const struct request_result *result, struct infer_reply *p);
/* infer_kind.refuse: a ModelStreamInferResponse with the error's text and the request's id. */
_must_use_ int kserve_stream_refusal(struct infer *i, struct infer_reply *p);

#endif
