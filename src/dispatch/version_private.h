/* version_private.h: struct version, for src/dispatch alone. */
#ifndef DISPATCH_VERSION_PRIVATE_H
#define DISPATCH_VERSION_PRIVATE_H

#include "dispatch/spare.h"
#include "dispatch/version.h"

struct pool;
struct work;

struct version {
	uint32_t refs;
	struct version_settings settings; /* own */
	uint32_t max_batch_size;	  /* what settings and the default allow */
	struct pool *pool;		  /* borrow */
	uint32_t id;			  /* in the pool and on the wire */
	struct work *work;		  /* borrow: the scheduler's; NULL: it takes no requests */
	struct version_counters counters;
	struct spare spare_requests; /* blocks that fit its declaration */

	bool announced_ready; /* what on_version last said */
	const char *announced_state;
};

/*
 * With one reference, for the caller. Settings are copied; default_max_batch_size holds where they say
 * nothing. -ENOMEM
 */
_must_use_ int version_new(struct version **ret_version, const struct version_settings *settings,
	uint32_t default_max_batch_size, struct pool *pool, uint32_t id);
/* Log what is new of its state. Returns whether readiness has changed since it was announced last. */
bool version_announce(struct version *v);
/* May requests wait a little for company? */
bool version_delays(const struct version *v);

/* "has failed", "is not available", "is not loaded yet": why nothing can run it now. */
const char *version_unavailable_text(const struct version *v);

#endif
