/*
 * sequence.h: sequences of requests for one version. A request is a step of one; of each sequence a single step is in
 * flight at a time, in the order in which they came, and all of them on one lane of one worker.
 *
 *   a step arrives: sequence_admit(), then sequence_enter() when it is in the version's queue
 *   it is sent:     sequence_step_fill_states(), sequence_sent(); sequence_return() where that came to nothing
 *   it ends:        sequence_answered(), or request.leave(), where no worker has run it
 *
 * A sequence ends with the step that says so, and when it has been idle for too long. Where a step was not run, or the
 * worker is lost, it has ended, too, and its client is told with each further step, until one begins it anew.
 * For src/dispatch alone.
 */
#ifndef DISPATCH_SEQUENCE_H
#define DISPATCH_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "dispatch/sequence_settings.h"
#include "dispatch/sequence_step.h"

struct lease;
struct place;
struct request;
struct request_answer;
struct version;

#define SEQUENCE_BUCKETS   256u
#define SEQUENCE_ENDED_MAX 256u

/* A lane that has sequences. */
struct sequence_lane {
	struct list node;    /* in sequences.lanes */
	struct place *place; /* borrow */
	uint64_t generation; /* of its process: another one knows nothing of them */
	uint32_t index;	     /* among the model's lanes there */
	uint32_t n;	     /* sequences; not 0 */
};

/* What the next step gets as one of its states. */
struct sequence_value {
	struct lease *lease; /* ref; NULL: none yet */
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	uint64_t length;
};

struct sequence {
	struct sequences *all;		/* borrow */
	struct list node;		/* in all->buckets */
	struct list ready_node;		/* in all->ready, or a list of who looks at these */
	struct list idle_node;		/* in all->idle */
	struct list steps;		/* struct request.sequence_node: queued, oldest first */
	struct request *running;	/* borrow: the step that was sent; NULL: none */
	struct sequence_lane *lane;	/* borrow; NULL: it is bound to none */
	bool closed;			/* the last step that came is its last */
	bool over;			/* and was answered, or dropped */
	bool lost;			/* with its worker */
	char ended[SEQUENCE_ENDED_MAX]; /* though its client does not know: why; "": it goes on */
	uint64_t idle_since_ns;
	struct sequence_value *values; /* own: one a state */
	struct sequence_id id;	       /* own */
};

struct sequences {
	struct version *version;		  /* borrow: it owns this */
	const struct sequence_settings *settings; /* borrow: the version's */
	struct list buckets[SEQUENCE_BUCKETS];	  /* struct sequence.node */
	struct list ready;	   /* a step waits and none runs; who came first is first */
	struct list idle;	   /* neither; who has been so for longest is first */
	struct list lanes;	   /* struct sequence_lane.node */
	uint32_t n;		   /* all there are */
	bool ending;		   /* none is kept that is idle */
	struct pool_output *shown; /* own: what a client gets of a step's outputs; scratch */
};

/* NULL: no memory. */
struct sequences *sequences_new(struct version *v);
/* Asserts that no step waits or runs. Accepts NULL; returns NULL. */
struct sequences *sequences_free(struct sequences *all);
/* None is kept from now on that is idle. */
void sequences_end(struct sequences *all);
/* Those that have been idle for too long end. */
void sequences_expire(struct sequences *all, uint64_t now_ns);
/* When the next of them will have been; CLOCK_NO_DEADLINE: none is idle. */
uint64_t sequences_idle_until(const struct sequences *all);

/* --- A step's way in -------------------------------------------------------------------------- */

/* r, which was checked, finds its sequence, or makes it. DISPATCH_E_REFUSED */
_must_use_ int sequence_admit(struct request *r);
/* It is in the queue, and last in its sequence's line; or was refused after all. */
void sequence_enter(struct request *r);
void sequence_forget(struct request *r);

/* --- Its way to a worker ---------------------------------------------------------------------- */

/* The step that is to go next. There is one (asserted). Where it begins the sequence anew, that has not ended any more. */
struct request *sequence_next(struct sequence *s);
/* The process that has it is gone: it has ended. Harmless where it is not, or the sequence is bound to none. */
void sequence_look_after(struct sequence *s);
/* How many sequences a lane of a place has, and how many one may have. */
uint32_t sequences_on_lane(const struct sequences *all, const struct place *p, uint32_t index);
uint32_t sequences_per_lane(const struct sequences *all);
/* -ENOMEM */
_must_use_ int sequence_bind(struct sequence *s, struct place *p, uint32_t index);
/* The step was sent, by itself. */
void sequence_sent(struct request *r);
/* It was not after all: it is the next one again. */
void sequence_return(struct request *r);

/* --- Its end ---------------------------------------------------------------------------------- */

/* A worker has answered it, for the last time: its states are kept, and left out of the answer. */
void sequence_answered(struct request *r, struct request_answer *a);
/* Its worker, as worker_loss() calls it, is lost, and the sequence with it. request.leave() follows. */
void sequence_lost(struct request *r, const char *worker);

#endif
