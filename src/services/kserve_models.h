/*
 * kserve_models.h: which version of a model a message of inference.GRPCInferenceService means, with
 * Triton's words where there is none.
 */
#ifndef SERVICES_KSERVE_MODELS_H
#define SERVICES_KSERVE_MODELS_H

#include <stdbool.h>

#include "services/infer_failure.h"

struct dispatch;
struct version;

/*
 * By name and number, as they came; an empty number is the default version. Borrowed. INFER_E_FAILED:
 *   INVALID_ARGUMENT  the number is none
 *   NOT_FOUND         there is no such model or version, or nothing of it was ever ready
 *   UNAVAILABLE       it is not ready yet
 */
_must_use_ int kserve_find_version(struct dispatch *d, const char *name, const char *number,
	struct version **ret_version, struct infer_failure *failure);
/* The same, also of one that is not ready yet, as long as waiting for that is of use. */
_must_use_ int kserve_find_hopeful(struct dispatch *d, const char *name, const char *number,
	struct version **ret_version, struct infer_failure *failure);
/* Is there such a version, loaded or not, or no use in looking for it, since its number is none? */
bool kserve_is_known(struct dispatch *d, const char *name, const char *number);
/* The same for who only asks: *ret_ready is false where there is no such version, or no worker is ready.
 * INFER_E_FAILED: the number is none */
_must_use_ int kserve_is_ready(struct dispatch *d, const char *name, const char *number,
	bool *ret_ready, struct infer_failure *failure);
/* What Triton calls its format; "" where it does not say. */
const char *kserve_platform(const struct version *v);

#endif
