/*
 * conf_file.h: a file in INI form, key by key, with line numbers for messages. inih splits the
 * lines. A `;` or `#` starts a comment line, a `;` behind a space ends a value.
 */
#ifndef MODELS_CONF_FILE_H
#define MODELS_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"

/* All borrowed during the callback. */
struct conf_line {
	const char *where; /* "modeld.conf:12" */
	const char *section;
	const char *key;
	const char *value;
	bool continued; /* an indented line: more of the value of the key before it */
};

enum {
	CONF_FILE_E_INVALID = 1, /* text says what is wrong and where */
	CONF_FILE_E_STOPPED = 2, /* on_key did not want to go on */
};

/*
 * Read all of `in` (borrowed); `name` stands for the file in messages. on_key returns whether to go
 * on. text: cap bytes.
 *
 * CONF_FILE_E_INVALID, CONF_FILE_E_STOPPED
 */
_must_use_ int conf_file_read(FILE *in, const char *name,
	bool (*on_key)(void *data, const struct conf_line *line), void *data, char *text,
	size_t cap);

#endif
