/* kserve_classify.h: an output as its best classes: what the parameter `classification` asks for. */
#ifndef SERVICES_KSERVE_CLASSIFY_H
#define SERVICES_KSERVE_CLASSIFY_H

#include <stdint.h>

#include "services/infer_reply.h"
#include "services/kserve_message.h"

/*
 * The n_classes greatest elements of each row as a BYTES tensor of "value:index", or "value:index:label"; a model without rows
 * has one. The name in *output stays; its data lies in the reply's memory. INFER_E_FAILED
 */
_must_use_ int kserve_classify(struct infer *i, struct infer_reply *p, const struct pool_output *o,
	uint64_t n_classes, struct kserve_answer_output *output, const void **ret_data,
	uint64_t *ret_n);

#endif
