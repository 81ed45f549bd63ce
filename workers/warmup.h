/*
 * warmup.h: the warm-ups of a model that was just loaded: each lane runs each of them, as it would run a request, before
 * anybody hears of the model.
 */
#ifndef WORKERS_WARMUP_H
#define WORKERS_WARMUP_H

#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"
#include "workers/backend.h"
#include "workers/model.h"
#include "workers/run.h"

/*
 * Run load->warmups on all lanes of `m`, which nobody else uses yet. parts: its callbacks are not looked at.
 * scratch_max: bytes that the inputs of one may take.
 *
 * MODEL_E_FAILED, MODEL_E_FATAL  error names the warm-up, and says why
 * -ENOMEM
 */
_must_use_ int warmup_all(const struct run_parts *parts, uint64_t scratch_max,
	const struct model *m, const struct wire_load *load, struct modeld_error *error);

#endif
