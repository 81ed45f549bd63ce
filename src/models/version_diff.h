/* version_diff.h: what has to be done so that the versions of one model become what is wanted. Pure. */
#ifndef MODELS_VERSION_DIFF_H
#define MODELS_VERSION_DIFF_H

#include <stddef.h>

#include "dispatch/version_settings.h"

enum version_change {
	VERSION_KEEP, /* it is the same */
	VERSION_ADD,  /* old: none */
	VERSION_REPLACE, /* something about it or its files has changed, or one of another number takes its place */
	VERSION_REMOVE, /* new: none */
};

/*
 * Call on_change for each version: those that are wanted in their order, then those that are not. now: what
 * is served (n_now), wanted: what is to be served (n_wanted); no number twice in either. A version more
 * takes the place of one that is not wanted any more, so that the model is never without. `index` is the old
 * one's in now, n_now: none.
 */
void version_diff(const struct version_settings *const *now, size_t n_now,
	const struct version_settings *const *wanted, size_t n_wanted,
	void (*on_change)(void *data, enum version_change change, size_t index,
		const struct version_settings *new),
	void *data);

#endif
