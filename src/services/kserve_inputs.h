/* kserve_inputs.h: inputs of a ModelInferRequest: where their data is, and whether they fit the model. */
#ifndef SERVICES_KSERVE_INPUTS_H
#define SERVICES_KSERVE_INPUTS_H

#include "services/infer.h"
#include "services/kserve_message.h"

/* Fill i->request's inputs: from raw_input_contents, typed contents, or shared memory. INFER_E_FAILED */
_must_use_ int kserve_fill_inputs(
	struct infer *i, const struct kserve_request *m, struct infer_receive *receive);

#endif
