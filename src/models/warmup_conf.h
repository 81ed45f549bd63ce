/*
 * warmup_conf.h: a section [warmup.NAME] of a model.conf: batch_size, count, and lines
 *
 *   input = NAME DTYPE [DIMS] zero | random | file:PATH
 *
 * of which each adds an input. DIMS are without the batch's; PATH lies below the model's warmup directory. NAME and PATH
 * have no spaces.
 */
#ifndef MODELS_WARMUP_CONF_H
#define MODELS_WARMUP_CONF_H

#include "base/cleanup.h"
#include "dispatch/version_settings.h"
#include "models/conf_file.h"

#define WARMUP_CONF_SECTION "warmup."

enum {
	WARMUP_CONF_E_INVALID = 1, /* *ret_what, a literal, says what is wrong */
};

/* What its section has said so far. */
struct warmup_conf {
	bool has_batch_size;
	bool has_count;
};

/* A key of a section that begins with WARMUP_CONF_SECTION; *c, zeroed ahead of the first, is for this alone.
 * WARMUP_CONF_E_INVALID, -ENOMEM */
_must_use_ int warmup_conf_set(struct warmup_conf *c, struct version_settings *s,
	const struct conf_line *line, const char **ret_what);

#endif
