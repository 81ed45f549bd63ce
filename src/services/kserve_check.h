/*
 * kserve_check.h: a ModelInferRequest against its model's declaration, with Triton's words. What passes,
 * dispatch judges once more by its own rules; it should have nothing to add.
 */
#ifndef SERVICES_KSERVE_CHECK_H
#define SERVICES_KSERVE_CHECK_H

#include "proto/dtype.h"
#include "services/infer.h"
#include "services/kserve_message.h"

/* "FP32", ...; DTYPE_INVALID for any other word. */
enum dtype kserve_dtype(const char *name);
/* INVALID_ARGUMENT, with the request's id ahead of the text. Always INFER_E_FAILED. */
int kserve_fail(struct infer *i, const char *format, ...) _printf_(2, 3);
/* The inputs, as they are filled. INFER_E_FAILED */
_must_use_ int kserve_check_inputs(struct infer *i, const struct kserve_request *m);

#endif
