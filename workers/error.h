/* error.h: why something failed, in words, for who called it. */
#ifndef WORKERS_ERROR_H
#define WORKERS_ERROR_H

#include "base/cleanup.h"
#include "workers/backend.h"

/* Write the text, cut to what there is room for. Returns `result`. */
_printf_(3, 4) int error_say(struct modeld_error *error, int result, const char *format, ...);

#endif
