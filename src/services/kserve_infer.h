/* kserve_infer.h: one inference that a ModelInferRequest asks for. */
#ifndef SERVICES_KSERVE_INFER_H
#define SERVICES_KSERVE_INFER_H

#include <stddef.h>
#include <stdint.h>

#include "services/infer.h"
#include "services/kserve_keys.h"
#include "services/kserve_parameters.h"

/* An output that is wanted as its best classes. */
struct kserve_classes {
	uint32_t output;
	uint64_t n; /* at most so many; not 0 */
};

struct kserve_infer {
	struct infer infer; /* first */
	struct kserve_wishes wishes;
	struct kserve_classes *classes; /* own */
	size_t n_classes;
	struct kserve_keys keys;
};

/* Answers are ModelInferResponses. */
extern const struct infer_kind kserve_infer_kind;
/* Answers are ModelStreamInferResponses, failures too. */
extern const struct infer_kind kserve_stream_kind;

#endif
