/*
 * model_check.h: tries in a process of its own, which ends then, whether a model's code can be loaded, and what it
 * declares: for models that modeld-python runs. Nothing of it runs in this process. Daemon process, before it serves.
 */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct config;
struct version_settings;

/* Can it be tried? */
bool model_check_applies(const struct config *c, const struct version_settings *v);
/*
 * In the sandbox that the configuration asks for, and for load_timeout_ms at most. say(): once a line of what it declares;
 * the program's own words go to standard error. Blocks.
 *
 * -ENOEXEC  it ended with an error; why: how
 * -ETIMEDOUT, -ENOMEM, -errno of what it takes to start it
 */
_must_use_ int model_check(const struct config *c, const struct version_settings *v,
	void (*say)(const struct version_settings *v, const char *line), char *why, size_t cap);

#endif
