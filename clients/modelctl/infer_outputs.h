/* infer_outputs.h: what a model answered, shown and written to files. */
#ifndef CLIENTS_MODELCTL_INFER_OUTPUTS_H
#define CLIENTS_MODELCTL_INFER_OUTPUTS_H

#include <stdbool.h>

#include "clients/modelctl/tensor_file.h"
#include "proto/kserve/grpc_service.pb-c.h"

/* What follows gives 0, or an exit code after saying what is wrong. */

/* Are there bytes for each output, and as many as its type and shape have? */
_must_use_ int infer_outputs_check(const Inference__ModelInferResponse *r);
/* Each output's type, shape and first elements; or all of it as JSON, as KServe's REST has it. */
void infer_outputs_print(const Inference__ModelInferResponse *r, bool json);
/*
 * [NAME=]FILE: one output, or, as .npz without a NAME, all of them. By FILE's suffix .npy, .npz or raw bytes.
 */
_must_use_ int infer_outputs_write(const Inference__ModelInferResponse *r, const char *given);

#endif
