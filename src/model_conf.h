/*
 * model_conf.h: one model's model.conf. Sections [model] (backend, version, devices, max_batch_size,
 * max_queue_delay_us, max_queue_size, instances, run_timeout_ms, stateful) and [parameters], whose keys are the
 * backend's affair.
 */
#ifndef MODEL_CONF_H
#define MODEL_CONF_H

#include "base/cleanup.h"
#include "config.h"
#include "dispatch/version.h"

/*
 * Read `file` into *m, whose strings are own (malloc) and stay owned by the caller, also after a
 * failure (version_settings_release()). A file that is not there changes nothing.
 *
 * CONFIG_E_INVALID  text (cap bytes) names file, line and key
 * -ENOMEM
 */
_must_use_ int model_conf_read(
	const char *file, struct version_settings *m, char *text, size_t cap);
/* Replace an own string. -ENOMEM */
_must_use_ int model_conf_replace(const char **field, const char *value);
/* A positive version number without leading zeros. */
bool model_conf_version(const char *text, uint64_t *ret_version);

#endif
