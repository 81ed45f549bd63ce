/*
 * ordering.h: answers in the order in which requests were sent to workers, for versions that want that (queue_settings.keep_order) and
 * answer each request once. A client's requests are sent in the order in which they came.
 *
 * A request has its place in that order from when it is first sent until it is told of its answer, or nobody wants it any more. An
 * answer that comes while another request is ahead is kept: its outputs stay where they are, charged to its client, of whom it is a
 * request as long. So what is kept is bounded by what clients may have asked and may keep. One that is sent again has its old place, and
 * goes whatever its client keeps (work_has_room()): else it would wait for what waits for it.
 *
 * For src/dispatch alone.
 */
#ifndef DISPATCH_ORDERING_H
#define DISPATCH_ORDERING_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "dispatch/request_private.h"

struct work;

/* Who gave it is not kept: that one may be gone by then. */
struct kept_answer {
	struct request_answer answer;
	char *message; /* own */
	struct pool_output outputs[];
};

/* r is sent. Harmless where it has its place, or the version wants no order. */
void ordering_enter(struct work *w, struct request *r);
/* This is r's answer: is it kept, since another one is ahead? Where it has one already, that stays. Without memory it is not. */
_must_use_ bool ordering_keep(struct request *r, const struct request_answer *a);
/* Nothing waits for r any more. An answer that was kept is dropped. Harmless where it has no place. */
void ordering_leave(struct request *r);
/* The one whose turn it is and who has its answer, without its place; the answer is to be freed. NULL: there is none. */
_must_use_ struct request *ordering_take(struct work *w, struct kept_answer **ret_answer);
/* Accepts NULL; returns NULL. */
struct kept_answer *kept_answer_free(struct kept_answer *k);

#endif
