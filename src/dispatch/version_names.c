/*
 * version_names.c: see version_names.h. Daemon process, loop thread.
 */
#include "dispatch/version_names.h"

#include <stdio.h>
#include <string.h>

static const char *list_names(
	const struct wire_declaration *list, size_t n, const char *what, char *to, size_t size)
{
	size_t at;

	if (n == 0) {
		snprintf(to, size, "; it has no %ss", what);
		return to;
	}
	at = (size_t)snprintf(to, size, "; its %s%s ", what, n > 1 ? "s are" : " is");
	for (size_t i = 0; i < n && at < size; i++) {
		const char *before = i ? ", " : "";

		if (at + strlen(before) + strlen(list[i].name) + sizeof("'', ...") > size) {
			snprintf(to + at, size - at, "%s...", before);
			break;
		}
		at += (size_t)snprintf(to + at, size - at, "%s'%s'", before, list[i].name);
	}
	return to;
}

const char *version_list_inputs(const struct version *v, char *to, size_t size)
{
	const struct wire_loaded *declared = version_declared(v);

	return list_names(declared ? declared->inputs : NULL, declared ? declared->n_inputs : 0,
		"input", to, size);
}

const char *version_list_outputs(const struct version *v, char *to, size_t size)
{
	const struct wire_loaded *declared = version_declared(v);

	return list_names(declared ? declared->outputs : NULL, declared ? declared->n_outputs : 0,
		"output", to, size);
}
