/*
 * queue_conf.h: the section [queue] of a model.conf: levels, default_level, timeout_us, timeout_action, timeout_override,
 * preferred_batch_size, keep_order. What it says of timeouts holds in each level.
 */
#ifndef MODELS_QUEUE_CONF_H
#define MODELS_QUEUE_CONF_H

#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/version_settings.h"

enum {
	QUEUE_CONF_E_INVALID = 1, /* `what` says how */
};

/* While the section is read. Zeroed: it was not there. */
struct queue_conf {
	struct queue_settings *settings; /* own */
	uint32_t seen;			 /* a bit for each key */
	uint64_t default_level;		 /* from 1; 0: it does not say */
	const char *key;		 /* a string literal: the one that is wrong */
	const char *what;		 /* likewise: how */
};

/* One line of it. QUEUE_CONF_E_INVALID; -ENOMEM */
_must_use_ int queue_conf_set(struct queue_conf *c, const char *key, const char *value);
/* All has been read: into s->queue. QUEUE_CONF_E_INVALID: c->key is wrong beside others */
_must_use_ int queue_conf_apply(struct queue_conf *c, struct version_settings *s);
void queue_conf_release(struct queue_conf *c);

#endif
