/* where.h: in which line of a model's own file a parameter is set, for who tells of it. */
#ifndef MODELS_WHERE_H
#define MODELS_WHERE_H

#include <stddef.h>

#include "models/settings.h"

/* "DIRECTORY/model.conf:12", or of config.pbtxt; without a line where the file does not have the key as it stands (""
 * for none), "" where there is no file. out: cap bytes. */
void where_parameter(
	const struct models_settings *s, const char *model, const char *key, char *out, size_t cap);

#endif
