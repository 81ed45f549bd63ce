/* warmup_settings.h: what a version's settings say of its warm-ups: lists of struct wire_warmup with memory of their own. */
#ifndef DISPATCH_WARMUP_SETTINGS_H
#define DISPATCH_WARMUP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "proto/wire.h"

/* Everything is copied; n of 0 gives NULL. The caller frees it. -ENOMEM */
_must_use_ int warmups_copy(
	const struct wire_warmup **ret_warmups, const struct wire_warmup *from, size_t n);
/* The list and all that it owns; fields that were not set yet are zero. Accepts NULL. */
void warmups_free(const struct wire_warmup *warmups, size_t n);
bool warmups_equal(
	const struct wire_warmup *a, size_t n_a, const struct wire_warmup *b, size_t n_b);
/* Add one to a list that owns what it has: all zero but for its name, copied, batch_size and count, 1 each. *ret_new is
 * valid until the next. -ENOMEM */
_must_use_ int warmups_add(
	const struct wire_warmup **list, size_t *n, const char *name, struct wire_warmup **ret_new);
/* Add a copy of an input to a warm-up of such a list. -ENOMEM */
_must_use_ int warmup_add_input(struct wire_warmup *w, const struct wire_warmup_input *input);

#endif
