/* isolation.h: which worker processes a model lives in. */
#ifndef POOL_ISOLATION_H
#define POOL_ISOLATION_H

#include <stdbool.h>

#include "base/cleanup.h"

enum isolation {
	ISOLATION_DEVICE, /* those of its devices, with other models */
	ISOLATION_MODEL,  /* some of its own, which begin when it comes and end when it goes */
	ISOLATION_AUTO, /* as DEVICE, until it has taken one of them down; then as MODEL for a long time */
};

/* "device", "model", "auto" */
const char *isolation_name(enum isolation i);
/* Returns whether `text` is a name. */
_must_use_ bool isolation_parse(const char *text, enum isolation *ret_isolation);

#endif
