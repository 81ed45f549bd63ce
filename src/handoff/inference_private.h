/*
 * inference_private.h: an inference, for the files that it is made of: inference.c has its life, inference_fill.c makes its
 * request, inference_answer.c its answers, inference_waiting.c keeps them until their turn, inference_send.c makes their records.
 */
#ifndef HANDOFF_INFERENCE_PRIVATE_H
#define HANDOFF_INFERENCE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatch/dispatch.h"
#include "handoff/guest.h"

#define INFERENCE_TEXT_MAX 768u

struct handoff_infer;
struct handoff_inferred;

struct inference {
	struct held held; /* in guest.inferences */
	struct guest *guest;
	struct version *model;	 /* borrow; NULL: it is to be loaded on request */
	struct request *request; /* ref; NULL as model */
	struct demand *demand;	 /* borrow; NULL: it does not wait for that */
	uint64_t seq;
	uint64_t cancel_seq; /* of the Cancel that is to be answered */
	uint64_t received_ns;
	uint64_t deadline_ns;
	uint64_t handed_bytes; /* tensor data that lies in regions, not counted yet */
	uint8_t *record; /* own: the message, while its model is not loaded yet; NULL: it is */
	size_t n_record;
	struct call_trace *trace; /* own; NULL: nobody wants to hear of it */
	bool make_room;
	bool cancelled;
	bool ended;   /* its request is: the last answer came, or none comes */
	bool over;    /* it is cancelled, or has failed: nothing that waits goes out */
	bool copying; /* outputs of the first answer that waits are being copied into a region */
	struct list
		waiting; /* struct waiting_answer.node: own: answers before their turn, in order */
	uint32_t n_waiting;
	struct parts_queued parts;    /* of its answers, those that the client has to read first */
	enum grpc_status status;      /* it failed, which is told behind what waits ... */
	char why[INFERENCE_TEXT_MAX]; /* ... in these words; also of why it was not filled */
	/* What waited went out, or will not: called from the loop. It may be all that there was. */
	void (*on_progress)(struct inference *i);
};

/* GRPC_OK, or the status of the refusal, whose text is in i->why. */
int inference_fill(struct inference *i, const struct handoff_infer *m);

/* Answer with what the model gave, in part or at last: at once, or behind what waits; or fail. */
void inference_answer(struct inference *i, const struct request_result *result);

/* Keep a copy of the answer for its turn; lease (borrow, NULL: none) holds its data. room: its outputs that are at no target
 * go to a region that is made for them. -ENOMEM */
_must_use_ int inference_wait(struct inference *i, const struct handoff_inferred *inferred,
	struct output_lease *lease, bool room);
/* Those whose turn it is go out. */
void inference_advance(struct inference *i);
/* Drop what waits. The one that is being copied stays, unless the guest goes (all). */
void inference_drop_waiting(struct inference *i, bool all);
/* What comes of it is not wanted any more, once its request has ended; what waits is dropped. */
void inference_stop(struct inference *i);
/* The same, with this error instead, when nothing touches the memory that its message named. */
void inference_fail(struct inference *i, enum grpc_status status, const char *format, ...)
	_printf_(3, 4);
/* Its request has ended, with this error behind what waits. */
void inference_end(struct inference *i, enum grpc_status status, const char *format, ...)
	_printf_(3, 4);
/* It fails of this answer: where that is the only one left, the error tells what takes how much room. */
void inference_refuse(struct inference *i, const struct handoff_inferred *inferred,
	enum grpc_status code, const char *text);

/* fd: own, of the region that was made for outputs (`room`); -1: there is none. */
void inference_send(struct inference *i, const struct handoff_inferred *inferred, int fd);
/* An error, with what the outputs without a place take. */
void inference_tell_sizes(struct inference *i, const struct handoff_inferred *inferred,
	enum grpc_status code, const char *text);
/* What would go into the record. */
uint64_t inference_inline_bytes(const struct handoff_inferred *inferred);

#endif
