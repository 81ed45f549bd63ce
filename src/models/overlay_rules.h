/*
 * overlay_rules.h: which settings a caller may give a model that it has loaded. A list of what is allowed: it has nothing that chooses
 * code, reads a file, moves a model out of its sandbox or its isolation, or lets it be run twice.
 */
#ifndef MODELS_OVERLAY_RULES_H
#define MODELS_OVERLAY_RULES_H

#include <stdbool.h>

#include "base/cleanup.h"

/* Is it a key of [model]? */
bool overlay_rules_has_key(const char *key);
/* Is it a parameter of some backend? */
bool overlay_rules_has_parameter(const char *key);
/* What is wrong with this value of a parameter; NULL: nothing. */
const char *overlay_rules_check(const char *key, const char *value);
/* Does the parameter mean something to this backend? */
bool overlay_rules_fits(const char *key, const char *backend);
/* All of both, for messages: "a, b, c". */
const char *overlay_rules_names(void);

#endif
