/*
 * version_names.h: the names that a caller could have used, for texts that say which it may not.
 */
#ifndef DISPATCH_VERSION_NAMES_H
#define DISPATCH_VERSION_NAMES_H

#include <stddef.h>

#include "dispatch/version.h"

/* Room for a list that leaves the rest of a text its place. */
#define VERSION_NAMES_MAX 320u

/* "; its inputs are 'a', 'b'", or "; it has no inputs". As many names as fit `size`, then "...".
 * Returns to. */
const char *version_list_inputs(const struct version *v, char *to, size_t size);
const char *version_list_outputs(const struct version *v, char *to, size_t size);

#endif
