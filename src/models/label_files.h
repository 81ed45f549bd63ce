/* label_files.h: the files that a config.pbtxt names for its outputs' labels. */
#ifndef MODELS_LABEL_FILES_H
#define MODELS_LABEL_FILES_H

#include <stddef.h>

#include "base/cleanup.h"
#include "dispatch/labels.h"
#include "proto/kserve/model_config.pb-c.h"

enum {
	LABEL_FILES_E_INVALID = 1, /* text says what is wrong */
};

/*
 * Read label_filename of each output, a path below the model's directory. *ret_labels is the caller's to free; NULL: no
 * output has one. LABEL_FILES_E_INVALID; -ENOMEM
 */
_must_use_ int label_files_read(const char *directory, const Inference__ModelConfig *config,
	struct labels **ret_labels, char *text, size_t cap);

#endif
