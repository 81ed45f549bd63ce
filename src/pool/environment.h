/* environment.h: the environment of a worker: the daemon's, but for which GPUs it sees, and without ONNX Runtime's telemetry. */
#ifndef POOL_ENVIRONMENT_H
#define POOL_ENVIRONMENT_H

#include <stddef.h>

#include "base/cleanup.h"

/*
 * Make it for a worker on `device`: on "cuda:N" the GPU with that number by PCI address, or, where the
 * daemon itself sees only some (CUDA_VISIBLE_DEVICES), the N-th of those; on "cuda:GPU-uuid" that one;
 * on anything else none. more: variables besides, as "NAME=value", NULL-terminated; NULL: none. rest: the same, unless `more` has them. ret_env: one
 * block for free(), which borrows the strings of the daemon's and of `more`.
 * -ENOMEM
 */
_must_use_ int environment_new(
	char ***ret_env, const char *device, const char *const *more, const char *const *rest);

/* What CUDA_VISIBLE_DEVICES names there: *ret_length bytes of the device's name or of the daemon's environment, whose
 * variable must stay as it is. */
const char *environment_visible(const char *device, size_t *ret_length);

#endif
