/* repository_diff.h: what has to be done so that what is served becomes what the repository says. Pure. */
#ifndef REPOSITORY_DIFF_H
#define REPOSITORY_DIFF_H

#include <stddef.h>

#include "dispatch/version_settings.h"
#include "repository.h"

enum repository_change {
	REPOSITORY_ADD,	    /* old: none */
	REPOSITORY_REMOVE,  /* new: none */
	REPOSITORY_REPLACE, /* something about it, or about the files of its version, has changed */
};

/*
 * Call `on_change` for each model that differs, additions first, removals last. now: what is served, one of
 * a name (n_now). A model that the repository has an error for is left as it is. What on_change is given is
 * borrowed; `index` is old's in now.
 */
void repository_diff(const struct version_settings *const *now, size_t n_now,
	const struct repository *wanted,
	void (*on_change)(void *data, enum repository_change change, size_t index,
		const struct version_settings *new),
	void *data);

#endif
