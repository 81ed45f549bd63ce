/* entry.h: one model's directory into an entry of the snapshot. For src/models alone. */
#ifndef MODELS_ENTRY_H
#define MODELS_ENTRY_H

#include "models/repository.h"

struct overlay;

/*
 * Fill *e (zeroed) from directory/name, and what a caller gave it (overlay; NULL: nothing). What is wrong with the model goes
 * into e->error. Release with entry_release(), also after a failure. What err_is_shortage() names
 */
_must_use_ int entry_read(struct repository_entry *e, const struct models_settings *s,
	const struct overlay *overlay, const char *directory, const char *name);
/* Is there anything of a model in directory/name? The same */
_must_use_ int entry_looks_like_model(const char *directory, const char *name, bool *ret_yes);
/* It cannot be served: `format` says why; what was there before goes. -ENOMEM */
_must_use_ int entry_refuse(struct repository_entry *e, const char *format, ...) _printf_(2, 3);
/* Names of files are bytes; what is shown is text: what is none becomes '?'. */
void entry_make_printable(char *text);
/* `name` as it can be shown. -ENOMEM */
_must_use_ int entry_set_name(struct repository_entry *e, const char *name);
void entry_release(struct repository_entry *e);

#endif
