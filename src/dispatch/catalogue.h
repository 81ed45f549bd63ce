/* catalogue.h: which versions of which models there are, by name. For src/dispatch alone. */
#ifndef DISPATCH_CATALOGUE_H
#define DISPATCH_CATALOGUE_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/version.h"

/* Zeroed: empty. */
struct catalogue {
	struct version **versions; /* own: a reference each; in the order of their ids */
	struct version **by_name;  /* own: sorted */
	size_t n;
	size_t cap;
};

/* Gives all references back. */
void catalogue_deinit(struct catalogue *c);
/* Takes the caller's reference, when it succeeds. -EEXIST: there is one of that name; -ENOMEM */
_must_use_ int catalogue_add(struct catalogue *c, struct version *v);
/* The name is n bytes, no NUL. NULL: unknown. */
struct version *catalogue_find(const struct catalogue *c, const char *name, size_t n);

/* Of all versions: sums. */
struct version_counters catalogue_counters(const struct catalogue *c);

#endif
