/*
 * model_print.h: a model's settings as files say them: a model.conf or a config.pbtxt that is read as the same settings again.
 * What a form has no words for is a comment in it.
 */
#ifndef MODELS_MODEL_PRINT_H
#define MODELS_MODEL_PRINT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "dispatch/version_settings.h"

enum model_form {
	MODEL_FORM_CONF,
	MODEL_FORM_PBTXT,
};

struct repository_entry;

/*
 * declared: what the model says itself when it is loaded, which completes what the settings leave open; NULL: nobody knows.
 * Of an entry it is the first version's that its policy chooses. A model.conf has it as comments.
 */

/* The file of a model, under its name, with the versions that its policy chooses; nothing where there are none. -ENOMEM */
_must_use_ int model_print_entry(FILE *out, enum model_form form, const struct repository_entry *e,
	const struct wire_loaded *declared);
/* versions: n numbers, those that are served; n of 0: nothing is said of them. */
void model_print_conf(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, const uint64_t *versions, size_t n);
void model_print_pbtxt(FILE *out, const struct version_settings *s,
	const struct wire_loaded *declared, const uint64_t *versions, size_t n);

#endif
