/* path.h: paths below a repository. */
#ifndef MODELS_PATH_H
#define MODELS_PATH_H

#include <stdbool.h>

#include "base/cleanup.h"

/* "directory/name"; the caller frees it. NULL: no memory */
_must_use_ char *path_join(const char *directory, const char *name);
/* Links are followed. */
bool path_is_directory(const char *path);
/* Is there something of this name in the directory? */
bool path_has(const char *directory, const char *name);

#endif
