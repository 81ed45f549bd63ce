/* virtual_environment.c: see virtual_environment.h. */
#include "base/virtual_environment.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* The value of a line "key = value", or NULL. The line's end is cut off. */
static const char *value_of(char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) != 0)
		return NULL;
	line += n + strspn(line + n, " \t");
	if (*line != '=')
		return NULL;
	line += 1 + strspn(line + 1, " \t");
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static bool has_interpreter(const char *directory)
{
	char path[PATH_MAX];
	struct stat st;

	return (size_t)snprintf(path, sizeof(path), "%s/python3", directory) < sizeof(path) &&
	       !stat(path, &st) && S_ISREG(st.st_mode) && st.st_mode & S_IXUSR;
}

static FILE *open_configuration(const char *program)
{
	const char *slash = strrchr(program, '/');
	char path[PATH_MAX];

	if (!slash || (size_t)snprintf(path, sizeof(path), "%.*s/../pyvenv.cfg",
			      (int)(slash - program), program) >= sizeof(path))
		return NULL;
	return fopen(path, "re");
}

bool virtual_environment_libraries(const char *path, char *libraries, size_t cap)
{
	_cleanup_(fclosep) FILE *f = open_configuration(path);
	char line[PATH_MAX + 64];

	while (f && fgets(line, sizeof(line), f)) {
		const char *value = value_of(line, "home");

		if (value)
			return value[0] == '/' && has_interpreter(value) &&
			       (size_t)snprintf(libraries, cap, "%s/../lib", value) < cap;
	}
	return false;
}
