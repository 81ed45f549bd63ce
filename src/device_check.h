/* device_check.h: what `modeld --check` says of the GPUs that [worker] workers names: a worker tries to open each. */
#ifndef DEVICE_CHECK_H
#define DEVICE_CHECK_H

#include <stdio.h>

#include "base/cleanup.h"

struct config;

/*
 * Each that there is not, or that a worker does not come to say hello on, is a line on `out`, and a fault; what a worker itself says of
 * it is on standard error. One that cannot be used now, since others have it, or it needs help, is a line and no fault. Blocks: a
 * process each, [worker] start_timeout_ms at most. Returns how many faults there are.
 */
_must_use_ unsigned device_check_all(const struct config *c, FILE *out);

#endif
