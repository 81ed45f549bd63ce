/*
 * queue_settings.h: what the repository says of how requests for a model wait: in which levels, how long, how many, and
 * how many rows a batch should have. One block of plain data, zeroed before it is filled.
 */
#ifndef DISPATCH_QUEUE_SETTINGS_H
#define DISPATCH_QUEUE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define QUEUE_LEVELS_MAX     32u
#define QUEUE_PREFERRED_MAX  64u
#define QUEUE_TIMEOUT_US_MAX UINT64_C(86400000000) /* a day */

/* What becomes of a request that has waited for its timeout. */
enum queue_action {
	QUEUE_REJECT,
	QUEUE_DELAY, /* it goes behind all others of its level */
};

enum {
	QUEUE_SETTINGS_E_LEVELS = 1, /* there are several */
	QUEUE_SETTINGS_E_DELAY,	     /* a policy lets requests go behind others */
};

struct queue_policy {
	enum queue_action action;
	uint64_t timeout_us;   /* 0: none */
	bool allow_override;   /* a request may have a shorter one */
	uint32_t max_requests; /* of the level; 0: no bound beside the queue's own */
};

struct queue_settings {
	uint32_t n_levels;	/* at least 1; the first goes ahead of all others */
	uint32_t default_level; /* of requests that name none, or none that there is; from 0 */
	uint32_t n_preferred;
	uint32_t
		preferred[QUEUE_PREFERRED_MAX]; /* rows, ascending: such batches wait for no more */
	bool keep_order; /* answers leave in the order of their requests (ordering.h); of one level alone, without QUEUE_DELAY */
	struct queue_policy policies[QUEUE_LEVELS_MAX];
};

/* Zeroed but for its one level; the caller frees it. NULL: no memory. */
struct queue_settings *queue_settings_new(void);
/* *to is the caller's to free. NULL stays NULL. -ENOMEM */
_must_use_ int queue_settings_copy(struct queue_settings **to, const struct queue_settings *from);
/* Both may be NULL. */
bool queue_settings_equal(const struct queue_settings *a, const struct queue_settings *b);
/* Adds a size, in its place. Harmless when it is there. False: there are too many. */
bool queue_settings_prefer(struct queue_settings *s, uint32_t rows);
/* The level of a request that asks for `priority` (1: the first; 0: none). s may be NULL. */
uint32_t queue_settings_level(const struct queue_settings *s, uint64_t priority);
/* How long a request that asks for timeout_us (0: it does not) may wait in a level; 0: as long as it takes. s may be NULL. */
uint64_t queue_settings_timeout(
	const struct queue_settings *s, uint32_t level, uint64_t timeout_us);
/* 0, unless answers keep an order that the queue does not: QUEUE_SETTINGS_E_LEVELS, QUEUE_SETTINGS_E_DELAY */
_must_use_ int queue_settings_check_order(const struct queue_settings *s);
/* The largest preferred size of at most so many rows; 0: none. s may be NULL. */
uint32_t queue_settings_preferred(const struct queue_settings *s, uint64_t rows);

#endif
