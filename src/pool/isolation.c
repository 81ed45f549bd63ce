/* isolation.c: names of enum isolation. */
#include "pool/isolation.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
	[ISOLATION_DEVICE] = "device",
	[ISOLATION_MODEL] = "model",
	[ISOLATION_AUTO] = "auto",
};

const char *isolation_name(enum isolation i)
{
	return names[i];
}

bool isolation_parse(const char *text, enum isolation *ret_isolation)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		*ret_isolation = (enum isolation)i;
		return true;
	}
	return false;
}
