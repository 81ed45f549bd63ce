/*
 * infer.h: one inference in flight, whatever messages it is asked and answered with (struct
 * infer_kind): from a received message to its answer.
 *
 *   infer_submit() -> request of dispatch -> on_done -> infer_kind.reply
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

struct call_trace;
struct demand;
struct infer;
struct infer_reply;

enum {
	INFER_E_MISSING = 3, /* infer_demand(): see there */
};

/* The messages of one service. */
struct infer_kind {
	const struct scanner_table *table; /* where a request has its tensors */
	size_t size;			   /* of the struct that begins with the struct infer */
	bool partial; /* reply() makes answers in part, too, and a last one without outputs, or none */
	/* Read a message, of which the tensors are left out: the id, the model, i->request, filled.
	 * INFER_E_FAILED; INFER_E_WAITING: infer_demand() said so */
	int (*read)(struct infer *i, const uint8_t *data, size_t n, struct infer_receive *receive);
	/*
	 * Bring what is elsewhere: ahead of dispatch, and when its result, which is OK, is there. NULL: nothing
	 * is. INFER_E_FAILED; INFER_E_WAITING: infer_fetched() or infer_stored() follows
	 */
	int (*fetch)(struct infer *i);
	int (*store)(struct infer *i, const struct request_result *result);
	/* What they wait for is not wanted any more; harmless when they do not. */
	void (*stop)(struct infer *i);
	/* Make the answer of a result that is OK; none where nothing is added to it. INFER_E_FAILED */
	int (*reply)(struct infer *i, const struct request_result *result, struct infer_reply *p);
	/* Make an answer of i->failure, for streams that go on behind one. INFER_E_FAILED: no memory. NULL:
	 * a failure ends the stream. */
	int (*refuse)(struct infer *i, struct infer_reply *p);
	/* Gives back what read() took for the kind's own part. NULL: it takes nothing. */
	void (*deinit)(struct infer *i);
	/* What is said instead of DISPATCH_ENDING_TEXT; NULL: that. */
	const char *ending_text;
};

/* The answer: either result (valid during the call) or, when it is not OK, i->failure is set. Where i->allows_partial,
 * any number of answers in part come ahead of it. */
typedef void (*infer_done_fn)(struct infer *i, const struct request_result *result);

struct infer {
	const struct infer_kind *kind;
	struct services *services; /* borrow */
	struct origin origin;	   /* what it points to is borrowed */
	struct request *request;   /* ref */
	struct version *model;	   /* ref; NULL until it is known */
	char *id;		   /* own, unless it is id_inline; NULL: not known yet */
	size_t n_id;
	char id_inline[INFER_ID_INLINE];
	struct call_trace *trace; /* own; NULL: nobody wants to hear of it */
	uint64_t n_handed;	  /* bytes of its inputs that are in regions of a local client */
	bool allows_excess; /* limits on what waits do not refuse it: set ahead of infer_submit() */
	bool allows_partial; /* on_done takes answers in part: set ahead of infer_submit() */
	struct infer_failure failure;
	struct infer_kept *kept; /* own; NULL: no result waits for store() */
	infer_done_fn on_done;
	void *data; /* borrow: the owner's */
	/* Set by the owner: the message of a `receive` that was kept has been read. NULL: that is no news. */
	void (*on_read)(struct infer *i);
	struct infer_receive *receive; /* borrow: it keeps the message; NULL: none waits */
	struct demand
		*demand; /* borrow; NULL: it does not wait for its model to be loaded on request */
	bool demanded;	 /* it has once */
	const uint8_t *message; /* borrow: receive's */
	size_t n_message;
};

/* Of a zeroed struct of kind->size bytes, which must not move from here on. Allocates nothing. */
void infer_init(struct infer *i, const struct infer_kind *kind, struct services *x,
	infer_done_fn on_done, void *data);
/* Cancels what is in flight: on_done is not called any more. Accepts a zeroed infer. */
void infer_deinit(struct infer *i);
/* Cancels what is in flight: on_done is not called any more. */
void infer_cancel(struct infer *i);
/*
 * The message is all there: read it, check it, submit it. What the origin points to must live as long
 * as the infer. On 0, on_done follows, never before this
 * returns. Where no worker has loaded the model yet, but one may soon, that waits for it: receive->kept is set until then,
 * and the message stays there. INFER_E_FAILED: i->failure says why.
 */
_must_use_ int infer_submit(
	struct infer *i, const struct origin *origin, struct infer_receive *receive);

/* What the kind says where the daemon ends. */
const char *infer_ending_text(const struct infer_kind *kind);

/* --- For infer_kind.fetch and store ------------------------------------------------------------- */

/* What was waited for is there, or i->failure is set. on_done may follow from inside. */
void infer_fetched(struct infer *i);
void infer_stored(struct infer *i);

/* --- For infer_kind.read ---------------------------------------------------------------------- */

/* Keep the client's id, n bytes, for the answer. INFER_E_FAILED */
_must_use_ int infer_set_id(struct infer *i, const char *id, size_t n);
/* Make one that no other request of ours has, nor of a daemon before or beside us. */
void infer_make_id(struct infer *i);
/* It is for this version: i->model and i->request, to be filled. INFER_E_FAILED */
_must_use_ int infer_set_model(struct infer *i, struct version *m);
/*
 * There is no such model: have it loaded for this request, where that may be (version "": by its policy). read() returns
 * what this does, but INFER_E_MISSING, where it has to say that there is none.
 *
 * INFER_E_WAITING: the message is read again when it is there; INFER_E_FAILED; INFER_E_MISSING
 */
_must_use_ int infer_demand(struct infer *i, const char *model, const char *version);
/* A parameter for the model. INFER_E_FAILED */
_must_use_ int infer_add_parameter(struct infer *i, const char *key, const char *value);

#endif
