/* inference_private.h: an inference, for the files that it is made of: inference.c has its life. */
#ifndef HANDOFF_INFERENCE_PRIVATE_H
#define HANDOFF_INFERENCE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dispatch/dispatch.h"
#include "handoff/guest.h"

#define INFERENCE_TEXT_MAX 512u

struct overflow;

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
	uint64_t handed_bytes; /* tensor data that lies in regions */
	uint8_t *record; /* own: the message, while its model is not loaded yet; NULL: it is */
	size_t n_record;
	bool cancelled;
	bool make_room;
	struct overflow *overflow;    /* own; NULL: no output waits for a region to be made */
	char why[INFERENCE_TEXT_MAX]; /* filling it failed: the text */
	/* inference_answer() returned false, and it is answered now. */
	void (*on_answered)(struct inference *i);
};

/* GRPC_OK, or the status of the refusal, whose text is in i->why. */
int inference_fill(struct inference *i, const struct handoff_infer *m);
/* Answer with what the model gave. False: outputs are put into a region first, on_answered() follows unless the
 * guest goes. */
bool inference_answer(struct inference *i, const struct request_result *result);
/* Accepts NULL; returns NULL. */
struct overflow *overflow_free(struct overflow *o);

#endif
