/* models_source.h: models are read as the configuration says, which is read again when wanted. */
#ifndef MODELS_SOURCE_H
#define MODELS_SOURCE_H

#include <stdbool.h>

#include "config.h"
#include "config_source.h"
#include "models/lifecycle.h"

/* Embedded. Used by one thread at a time. */
struct models_source {
	const struct config *first;	    /* borrow: the configuration of the start */
	const struct config_source *source; /* borrow; NULL: it cannot be read again */
	struct config latest;		    /* own; zeroed: not read again yet */
	struct lifecycle_source lifecycle;  /* what a lifecycle is given */
	bool wider; /* what was read last has repositories that workers could not read before */
	/* NULL; see models_source_tell() */
	void (*on_sandbox)(void *data, const char *const *sandbox, bool wider);
	void *on_sandbox_data; /* borrow */
};

void models_source_init(struct models_source *s, const struct config *first);
/* Where the configuration is read from again; borrowed. */
void models_source_set(struct models_source *s, const struct config_source *source);
/* From the loop, after each reading: what workers are told that start from now on (borrowed), and whether they may read more than
 * those before them. */
void models_source_tell(struct models_source *s,
	void (*on_sandbox)(void *data, const char *const *sandbox, bool wider), void *data);
void models_source_release(struct models_source *s);

#endif
