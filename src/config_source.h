/* config_source.h: where the configuration comes from, so that it can be read again. */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include <stddef.h>

#include "base/cleanup.h"
#include "config.h"

struct config_source {
	const char *file; /* borrow; NULL: every key has its default */
	/* borrow: section.key=value, over the file; NULL-terminated; NULL: none */
	const char *const *before;
	const char *const *sets; /* borrow: section.key=value, over both */
	size_t n_sets;
};

/*
 * Read it all: file, overrides, and what follows from them. Release with config_release(), also after a
 * failure.
 *
 * CONFIG_E_INVALID  text (cap bytes) says what is wrong, and where
 * -ENOMEM
 */
_must_use_ int config_source_read(
	const struct config_source *s, struct config *ret_config, char *text, size_t cap);

#endif
