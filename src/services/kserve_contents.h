/* kserve_contents.h: typed contents of an input (InferTensorContents) made into tensor data. */
#ifndef SERVICES_KSERVE_CONTENTS_H
#define SERVICES_KSERVE_CONTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"

enum {
	KSERVE_CONTENTS_E_TYPE = 1, /* they are of another type than the tensor */
};

/*
 * How many bytes of tensor data n bytes of contents are, for a tensor of this dtype.
 *
 * KSERVE_CONTENTS_E_TYPE: *ret_type is the type of what came ("FP32"); -EPROTO
 */
_must_use_ int kserve_contents_measure(const uint8_t *contents, size_t n, enum dtype d,
	uint64_t *ret_bytes, const char **ret_type);
/* Write them to `to`, which has as many bytes as were measured. */
void kserve_contents_write(const uint8_t *contents, size_t n, enum dtype d, uint8_t *to);

#endif
