/* path.h: paths below a repository. */
#ifndef MODELS_PATH_H
#define MODELS_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

/* "directory/name"; the caller frees it. NULL: no memory */
_must_use_ char *path_join(const char *directory, const char *name);
/* Links are followed. */
bool path_is_directory(const char *path);
/*
 * The name of the model that `path` is of, or in: what follows one of the repositories (NULL-terminated) in it, or its first
 * part where it is relative. False: it is below none, has a part that is empty, "." or "..", or the name exceeds cap. Looks
 * at the text alone.
 */
bool path_find_model(const char *const *repositories, const char *path, char *name, size_t cap);
/* No part of it is empty, "." or "..": so nothing in it leads anywhere else than it seems. An empty one is. */
bool path_is_plain(const char *path);
/* Is there something of this name in the directory? */
bool path_has(const char *directory, const char *name);

#endif
