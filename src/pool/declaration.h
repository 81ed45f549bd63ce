/* declaration.h: what a worker says a model is, kept beyond the message that said it. */
#ifndef POOL_DECLARATION_H
#define POOL_DECLARATION_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "proto/wire.h"

/* A deep copy in one block: release with free(). NULL: out of memory. */
struct wire_loaded *declaration_copy(const struct wire_loaded *l);
/* Same inputs, outputs and max_batch_size. */
bool declaration_equal(const struct wire_loaded *a, const struct wire_loaded *b);

#endif
