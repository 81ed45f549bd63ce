/* request_private.h: struct request, for src/dispatch alone. */
#ifndef DISPATCH_REQUEST_PRIVATE_H
#define DISPATCH_REQUEST_PRIVATE_H

#include "base/list.h"
#include "dispatch/heap.h"
#include "dispatch/request.h"

#define REQUEST_TEXT_MAX 1024u

struct batch;
struct dispatch;
struct kept_answer;
struct line;
struct sequence;
struct sequence_step;
struct work;

enum request_state {
	REQUEST_NEW,	 /* the service fills it */
	REQUEST_EARLY,	 /* waits for its version to be loaded, and is made anew then */
	REQUEST_QUEUED,	 /* in its model's queue; cancelling removes it */
	REQUEST_SENT,	 /* in a batch; cancelling makes it silent */
	REQUEST_LEAVING, /* out of the queue, about to be answered; cancelling makes it silent */
	REQUEST_DONE,	 /* answered, refused or cancelled; holds nothing */
	REQUEST_STATES_,
};

struct request {
	uint32_t refs;
	enum request_state state;
	struct version *version;   /* ref */
	struct client *client;	   /* ref */
	struct dispatch *dispatch; /* borrow: the door's own; set by dispatch_submit() */
	uint64_t deadline_ns;
	request_done_fn on_done;
	void (*on_end)(void *data); /* while it is EARLY */
	void *data;		    /* borrow: theirs */

	struct batch *batch; /* borrow: while it is in one */
	struct list
		node; /* early; queue: in a line or the suspects; else in a batch or a local list */
	struct list age_node;		/* in queue.arrivals */
	struct heap_node deadline_node; /* in queue.deadlines, if it has a deadline */
	struct heap_node timeout_node;	/* in queue.timeouts, if it is in a line and has one */
	struct line *line;		/* borrow: set while it is in one */
	uint32_t level;			/* of the queue; from 0 */
	bool delayed;			/* it is behind those of its level that are not */
	uint64_t timeout_us;		/* what it asks for; 0: nothing */
	uint64_t overdue_ns; /* when it has waited for its timeout; CLOCK_NO_DEADLINE: never */
	uint64_t queued_ns;  /* when it last joined the queue */
	struct request_times times;

	/* Set by check_request(): what the batcher goes by. */
	uint64_t key;	    /* equal for requests that can be joined; a hash: compare exactly too */
	uint64_t rows;	    /* 1 where the model does not batch */
	size_t bound;	    /* wire_item_bound() */
	bool joinable;	    /* may share a batch */
	const char *device; /* borrow: a worker's, where alone it runs; NULL: anywhere */
	bool suspect;	    /* lost a worker once: runs alone on an idle one */
	bool careful; /* and another, or the model did that was being loaded: runs where none is */
	bool withdrawn;	     /* not to be sent again; answered when nothing can touch its memory */
	bool silent;	     /* nobody wants the answer any more */
	bool given_up;	     /* its batch knows that it is silent or withdrawn */
	bool allows_partial; /* answers in part */
	bool allows_excess;  /* is not refused for the limits on what waits */
	bool begun;	     /* one was given: it is not sent again */
	bool refunded;	     /* it has its client's charges no more */
	uint8_t losses;
	uint64_t expected_bytes; /* while it is SENT: output memory that its answer should take */

	uint32_t n_inputs;		  /* of the declaration when it was made */
	uint32_t n_outputs_max;		  /* likewise */
	struct wire_item item;		  /* borrows the arrays below */
	struct wire_tensor *tensors;	  /* n_inputs, in the same block */
	struct request_target *targets;	  /* n_outputs_max, in the same block */
	struct wire_target *wire_targets; /* likewise; set by check_request() */
	uint32_t n_targets;
	uint32_t *outputs;	      /* n_outputs_max, in the same block */
	struct wire_pair *parameters; /* own; key and value of each are one block, own */

	struct sequence_step *step; /* own; NULL: it belongs to no sequence */
	struct sequence *sequence;  /* borrow: set while it is in its line, or its step that runs */
	struct list sequence_node;  /* in sequence.steps */
	void (*leave)(struct request *
			r); /* where it is of a sequence: it ends, though no worker has answered it */

	char *traceparent;	  /* own: the item's; NULL: it has none */
	char *tracestate;	  /* own: likewise */
	char *id;		  /* likewise */
	struct list order_node;	  /* in work.ordered */
	struct kept_answer *kept; /* own; NULL: it has no answer that waits for others */

	enum grpc_status status; /* after a refusal */
	char *text;		 /* own; NULL: none */

	struct request_input inputs[];
};

/* What an answer carries, beside what the request knows itself. */
struct request_answer {
	bool partial; /* request_tell_ahead(): more will follow */
	enum grpc_status status;
	const char *message;
	const struct pool_output *outputs;
	size_t n_outputs;
	struct output_lease *lease; /* borrow */
	struct worker *worker;	    /* borrow; NULL: none */
	uint32_t batch_requests;
	uint64_t compute_ns;
	uint64_t now_ns;
};

/* The one setter: asserts that the move is allowed. What was expected of one that is SENT no more is settled. */
void request_set_state(struct request *r, enum request_state to);
struct request *request_ref(struct request *r);
/* The first of a list of request.node, taken off; NULL: it is empty. */
struct request *request_pop(struct list *l);
/* Remember why it is refused. Always DISPATCH_E_REFUSED. */
_must_use_ int request_refuse(struct request *r, enum grpc_status status, const char *format, ...)
	_printf_(3, 4);
/* Give back where its inputs lie; and where its outputs go. */
void request_drop_inputs(struct request *r);
void request_drop_leases(struct request *r);
/* It was refused, or cancelled before it was submitted: NEW -> DONE, leases given back. */
void request_discard(struct request *r);
/* Call on_done (unless it is silent) and forget it: no one may answer it again. */
void request_tell(struct request *r, const struct request_answer *a);
/* An answer while the worker has its batch: call on_done with a part of it, unless it is silent; or with the last, which is
 * request_tell(), and its client is not charged for a request any more. */
void request_tell_ahead(struct request *r, const struct request_answer *a);
/* The end of a submitted request: request_tell(), state DONE, charges and leases given back, and
 * dispatch's reference dropped. SENT or LEAVING -> DONE; LEAVING, where the answer is kept (ordering.h). */
void request_finish(struct request *r, const struct request_answer *a);
/* Its answer is kept: what it held beside that is given back. SENT or LEAVING -> LEAVING. */
void request_await_turn(struct request *r);
/* Those of a version whose turn has come and whose answers were kept: request_tell() of who is SENT, or request_finish(). Returns whether
 * there were any. */
bool request_tell_ordered(struct work *w);
/* request_finish() with an error that no worker gave. */
void request_fail(struct request *r, uint64_t now_ns, enum grpc_status status, const char *format,
	...) _printf_(4, 5);
/* The same without an answer; from QUEUED or EARLY, out of the list already; or from LEAVING, where its answer is kept. */
void request_drop(struct request *r);

#endif
