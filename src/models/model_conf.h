/*
 * model_conf.h: one model's model.conf. Sections [model] (backend, version, devices, max_batch_size,
 * max_queue_delay_us, max_queue_size, instances, run_timeout_ms, stateful, caller_parameters), [queue] (queue_conf.h), [warmup.NAME]
 * (warmup_conf.h) and [parameters], whose keys are the backend's affair. `version` is a policy: "latest 2", "all", "1, 3".
 */
#ifndef MODELS_MODEL_CONF_H
#define MODELS_MODEL_CONF_H

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "models/version_policy.h"

/* What a model's own file says of all its versions. */
struct model_conf {
	struct version_settings settings; /* own strings; no version, no path */
	struct version_policy versions;
};

enum {
	MODEL_CONF_E_INVALID = 1, /* text says what is wrong and where */
};

/*
 * Read `file` into *m, which stays owned by the caller, also after a failure (model_conf_release()). A file
 * that is not there changes nothing.
 *
 * MODEL_CONF_E_INVALID  text (cap bytes) names file, line and key of all that is wrong, one behind the other: "...; ..."
 * -ENOMEM
 */
_must_use_ int model_conf_read(const char *file, struct model_conf *m, char *text, size_t cap);
/*
 * The same for one key of [model] or [parameters] (section), in place of what was said of it.
 *
 * MODEL_CONF_E_INVALID  text says what is wrong with the value
 * -ENOMEM
 */
_must_use_ int model_conf_set(struct model_conf *m, const char *section, const char *key,
	const char *value, char *text, size_t cap);
void model_conf_release(struct model_conf *m);
/* Replace an own string. -ENOMEM */
_must_use_ int model_conf_replace(const char **field, const char *value);

#endif
