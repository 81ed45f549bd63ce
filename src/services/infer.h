/*
 * infer.h: one inference of ModelWorkerService in flight: from a received InferRequest to its
 * answer.
 *
 *   infer_submit() -> request of dispatch -> on_done
 */
#ifndef SERVICES_INFER_H
#define SERVICES_INFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dispatch/origin.h"
#include "dispatch/request.h"
#include "services/infer_failure.h"
#include "services/infer_receive.h"
#include "services/services.h"

#define INFER_ID_INLINE 64u

/* What an infer_receive of InferRequests is made with. */
extern const struct scanner_table infer_request_table;

struct infer;

/* The answer: either result (valid during the call) or, when it is not OK, i->failure is set. */
typedef void (*infer_done_fn)(struct infer *i, const struct request_result *result);

struct infer {
	struct services *services; /* borrow */
	struct origin origin;	   /* what it points to is borrowed */
	struct request *request;   /* ref */
	struct version *model;	   /* ref; NULL until it is known */
	uint32_t output;	   /* which one is asked for */
	char region[33];	   /* token of the region that it goes to; "": none */
	char *id;		   /* own, unless it is id_inline; NULL: not known yet */
	size_t n_id;
	char id_inline[INFER_ID_INLINE];
	struct infer_failure failure;
	infer_done_fn on_done;
	void *data; /* borrow: the owner's */
};

/* Accepts a zeroed struct, which must not move from here on. Allocates nothing. */
void infer_init(struct infer *i, struct services *x, infer_done_fn on_done, void *data);
/* Cancels what is in flight: on_done is not called any more. Accepts a zeroed infer. */
void infer_deinit(struct infer *i);
/*
 * The message is all there: read it, check it, submit it. What the origin points to must live as long
 * as the infer. On 0, on_done follows, never before this
 * returns. INFER_E_FAILED: i->failure says why.
 */
_must_use_ int infer_submit(
	struct infer *i, const struct origin *origin, struct infer_receive *receive);

#endif
