/*
 * config_environment.h: variables of the environment in a value of the configuration, as containers are told what they are to
 * do: ${NAME} is what NAME says, ${NAME:-text} is the text where NAME is not set or empty. Text has no } in it. A $ that no {
 * follows is a $. Daemon process.
 */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

#define CONFIG_ENVIRONMENT_MAX 4096u /* bytes of a value with its variables */

/*
 * *ret_value: the value with what its variables say (own), which a file could hold: it has no control characters, no ${ and no
 * comment. Where value has no ${ it is a copy. Errors say what is wrong in text (cap bytes), without a place.
 *
 * CONFIG_E_INVALID (a variable is not set and has no text, is no name, is not ended, says what a file could not hold, or
 * the whole is longer than CONFIG_ENVIRONMENT_MAX); -ENOMEM
 */
_must_use_ int config_environment_expand(
	const char *value, char **ret_value, char *text, size_t cap);

/* What a file could not hold would not come back from --check either. NULL: it could; else what is wrong, for an error. */
const char *config_unfit_for_file(const char *value);

#endif
