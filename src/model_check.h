/*
 * model_check.h: tries in a process of its own, which ends then, whether a model can be loaded, and what it declares.
 * Nothing of it runs in this process. Daemon process, before it serves.
 */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct config;
struct version_settings;
struct wire_loaded;

/* Can it be tried by model_check()? That is for models that modeld-python runs, of which it imports the code. */
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
/*
 * Of any model: load it as the daemon would have it loaded, in a worker on the first device that it is for, with one
 * instance and its warm-ups, for start_timeout_ms and load_timeout_ms at most. *ret_loaded: what it declares, for the caller to
 * free(); max_batch_size is the one in effect. Likewise.
 */
_must_use_ int model_check_load(const struct config *c, const struct version_settings *v,
	struct wire_loaded **ret_loaded, char *why, size_t cap);

/*
 * Do the files of its warm-ups hold what they should? Only the files are looked at; a model whose inputs are others is
 * found when it is loaded.
 *
 * -EINVAL  why: which does not
 * -ENOMEM
 */
_must_use_ int model_check_warmups(const struct version_settings *v, char *why, size_t cap);

#endif
