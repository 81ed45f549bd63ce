/* warmup_rules.h: what holds for a warm-up whichever file says it. */
#ifndef MODELS_WARMUP_RULES_H
#define MODELS_WARMUP_RULES_H

#include "base/cleanup.h"
#include "dispatch/version_settings.h"

#define WARMUP_DIRECTORY      "warmup" /* below the model's: where their files are */
#define WARMUP_BATCH_SIZE_MAX 65536u

enum {
	WARMUP_RULES_E_INVALID = 1, /* *ret_what, a literal, says what is wrong */
};

/*
 * A warm-up more; *ret_new as warmups_add() gives it.
 *
 * WARMUP_RULES_E_INVALID  of the name, or there are too many
 * -ENOMEM
 */
_must_use_ int warmup_rules_add(struct version_settings *s, const char *name,
	struct wire_warmup **ret_new, const char **ret_what);
/* A copy of an input more. WARMUP_RULES_E_INVALID: of its name, its shape, its file; -ENOMEM */
_must_use_ int warmup_rules_add_input(
	struct wire_warmup *w, const struct wire_warmup_input *input, const char **ret_what);

#endif
