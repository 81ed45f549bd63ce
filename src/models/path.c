/* path.c: paths below a repository. Daemon process, any thread. */
#include "models/path.h"

#include <stdio.h>
#include <sys/stat.h>

char *path_join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

bool path_is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool path_has(const char *directory, const char *name)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	struct stat st;

	return path && !stat(path, &st);
}
