/* models_source.h: models are read as the configuration says, which is read again when wanted. */
#ifndef MODELS_SOURCE_H
#define MODELS_SOURCE_H

#include "config.h"
#include "config_source.h"
#include "models/lifecycle.h"

/* Embedded. Used by one thread at a time. */
struct models_source {
	const struct config *first;	    /* borrow: the configuration of the start */
	const struct config_source *source; /* borrow; NULL: it cannot be read again */
	struct config latest;		    /* own; zeroed: not read again yet */
	struct lifecycle_source lifecycle;  /* what a lifecycle is given */
};

void models_source_init(struct models_source *s, const struct config *first);
/* Where the configuration is read from again; borrowed. */
void models_source_set(struct models_source *s, const struct config_source *source);
void models_source_release(struct models_source *s);

#endif
