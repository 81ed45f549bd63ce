/*
 * deadlines.h: many points in time on one uv_timer: a binary heap, so that a call with a deadline
 * costs O(log n) and no handle. Millisecond resolution; never early.
 */
#ifndef HTTP2_DEADLINES_H
#define HTTP2_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"

/* Embedded by its owner; zeroed: not set. */
struct deadline {
	uint64_t at_ns;
	size_t place; /* in the heap, from 1; 0: not set */
	/* From the loop, the deadline being cleared already. May set, clear and free any. */
	void (*on_due)(struct deadline *d);
};

struct deadlines {
	uv_timer_t *timer;	/* own; goes when the loop has closed it */
	struct deadline **heap; /* own; [1..n] borrow */
	size_t n;
	size_t cap;
	uint64_t armed_ns; /* when the timer fires; CLOCK_NO_DEADLINE: it is not running */
	bool firing;
};

/* -ENOMEM: deadlines_close() is still due. */
_must_use_ int deadlines_init(struct deadlines *ds, uv_loop_t *loop);
/* None may be set any more (asserted). The loop must run once more before it is closed. */
void deadlines_close(struct deadlines *ds);
static inline bool deadline_is_set(const struct deadline *d)
{
	return d->place != 0;
}
/* Set, or move. on_due must be filled in. -ENOMEM: not set, or set as it was */
_must_use_ int deadline_set(struct deadlines *ds, struct deadline *d, uint64_t at_ns);
/* Harmless when not set. */
void deadline_clear(struct deadlines *ds, struct deadline *d);

#endif
