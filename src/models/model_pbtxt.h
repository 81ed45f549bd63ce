/* model_pbtxt.h: one model's config.pbtxt, as Triton's repositories have it. */
#ifndef MODELS_MODEL_PBTXT_H
#define MODELS_MODEL_PBTXT_H

#include "base/cleanup.h"
#include "models/model_conf.h"
#include "models/settings.h"

enum {
	MODEL_PBTXT_E_INVALID = 1, /* text says what is wrong and where */
};

/*
 * Read `file` into *m, whose settings have a name; what the file leaves out stays as it is. m is owned by the
 * caller, also after a failure. All fields of Triton's ModelConfig are understood; *ret_ignored (the caller frees
 * it; NULL: none): a sentence that names those that are set and do nothing here.
 *
 * MODEL_PBTXT_E_INVALID  text (cap bytes) names file, line and column
 * -ENOMEM
 */
_must_use_ int model_pbtxt_read(const char *file, struct model_conf *m,
	const struct models_settings *settings, char **ret_ignored, char *text, size_t cap);

/* An inference.ModelConfig on the wire, that did not come from a file. All borrowed. */
struct model_pbtxt_message {
	const uint8_t *data;
	size_t n;
	uint64_t present;      /* bit i: field number i was said */
	const unsigned *lines; /* by number, where it was said; NULL: it came in no lines */
	const char *origin;    /* what messages call it */
	const char *directory; /* the model's */
};

/* The same of such a message. -ENOMEM also where it is none. */
_must_use_ int model_pbtxt_map(const struct model_pbtxt_message *message, struct model_conf *m,
	const struct models_settings *settings, char **ret_ignored, char *text, size_t cap);

#endif
