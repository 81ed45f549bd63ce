/* inference.h: one Infer of a guest in flight, from the record to its answer. */
#ifndef HANDOFF_INFERENCE_H
#define HANDOFF_INFERENCE_H

#include <stdint.h>

#include "base/cleanup.h"

struct handoff_infer;
struct guest;

/* Check and submit; whatever happens is answered to seq. */
void inference_begin(struct guest *p, uint64_t seq, const struct handoff_infer *m);
/* The answer to `of` is not wanted any more; seq is answered when nothing can touch its memory. */
void inference_cancel(struct guest *p, uint64_t seq, uint64_t of);

#endif
