/* config_default.c: from a program's path to its configuration's. Pure. */
#include "config_default.h"

#include <stdio.h>
#include <string.h>

#define BIN	  "/bin/"
#define INSTALLED "/etc/modeld/modeld.conf"

bool config_default_file(const char *program, char *ret_file, size_t cap)
{
	const char *slash = strrchr(program, '/');
	size_t n = slash ? (size_t)(slash + 1 - program) : 0; /* of PREFIX/bin/ */
	int written;

	if (program[0] != '/' || n < strlen(BIN) ||
		strncmp(program + n - strlen(BIN), BIN, strlen(BIN)) != 0)
		return false;
	n -= strlen(BIN);
	if (n == strlen("/usr") && !strncmp(program, "/usr", n))
		n = 0;
	written = snprintf(ret_file, cap, "%.*s" INSTALLED, (int)n, program);
	return written > 0 && (size_t)written < cap;
}
