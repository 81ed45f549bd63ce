/*
 * program.h: what a worker of a model's own executes: the backend's worker program or the pool's, with
 * variables that tell a program, before it speaks to the daemon, what it is started for. For src/pool alone.
 */
#ifndef POOL_PROGRAM_H
#define POOL_PROGRAM_H

#include "base/cleanup.h"

struct pool_model_settings;
struct pool_program;
struct pool_settings;

/* The backend's; NULL: it has none of its own. */
const struct pool_program *program_find(const struct pool_settings *s, const char *backend);
/*
 * Variables besides the daemon's own environment: the program's (p may be NULL), MODELD_DEVICE,
 * MODELD_MODEL_NAME, MODELD_MODEL_VERSION, MODELD_MODEL_PATH, MODELD_RUN_TIMEOUT_MS,
 * MODELD_LOAD_TIMEOUT_MS; and MODELD_PARAMETERS, the model's, and
 * MODELD_SETTINGS, of the backend's section, with a line "key=value" each. ret_list: NULL-terminated, one block
 * for free(), which borrows p's strings.
 * -ENOMEM
 */
_must_use_ int program_environment(char ***ret_list, const struct pool_settings *s,
	const struct pool_program *p, const struct pool_model_settings *m, const char *device);

#endif
