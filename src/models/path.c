/* path.c: paths below a repository. Daemon process, any thread. */
#include "models/path.h"

#include <stdio.h>
#include <string.h>
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

bool path_is_plain(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && !strncmp(path, "..", 2)))
			return false;
		path += n;
		if (*path == '/')
			path++;
	}
	return true;
}

/* What of path is below the directory; NULL: it is elsewhere. */
static const char *below(const char *directory, const char *path)
{
	size_t n = strlen(directory);

	while (n > 1 && directory[n - 1] == '/')
		n--;
	return !strncmp(path, directory, n) && path[n] == '/' ? path + n + 1 : NULL;
}

bool path_find_model(const char *const *repositories, const char *path, char *name, size_t cap)
{
	const char *rest = path[0] == '/' ? NULL : path;
	size_t n;

	for (size_t i = 0; !rest && repositories[i]; i++)
		rest = below(repositories[i], path);
	if (!rest || !path_is_plain(rest))
		return false;
	n = strcspn(rest, "/");
	if (n == 0 || n >= cap)
		return false;
	memcpy(name, rest, n);
	name[n] = '\0';
	return true;
}
