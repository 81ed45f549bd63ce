/*
 * sequence_step.h: whose step a request is, and the tensors that it gets for that beside its client's: control inputs, and
 * states, which are outputs of the step before. For src/dispatch alone.
 */
#ifndef DISPATCH_SEQUENCE_STEP_H
#define DISPATCH_SEQUENCE_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct request;
struct request_answer;
struct sequence;

/* A number that is not 0, or a text that is not empty. */
struct sequence_id {
	uint64_t number;
	char *text; /* NULL: it is a number; n_text bytes and a NUL */
	size_t n_text;
};

#define SEQUENCE_NUMBER_MAX 24u
/* Of an id's name, as much as texts show. */
#define SEQUENCE_ID_SHOWN 64

/* What it is called: its text, or its number, which is written to `number`. */
const char *sequence_id_name(const struct sequence_id *id, char number[SEQUENCE_NUMBER_MAX]);

struct sequence_step {
	struct sequence_id id; /* its text is in the same block */
	bool start;
	bool end;
};

/* Inputs of r that say what step it is. DISPATCH_E_REFUSED */
_must_use_ int sequence_step_fill(struct request *r);
/* What sequence_step_fill_states() will zero: bytes. */
uint64_t sequence_step_zeros(const struct request *r);
/* Its states, as inputs: those that the step before has left, or zeros. All inputs are checked then.
 * DISPATCH_E_REFUSED */
_must_use_ int sequence_step_fill_states(struct request *r);
/* Keep those that an answer has for the next step. False: there is no memory for them, they are too large, or they are not
 * there; *a says so then. */
_must_use_ bool sequence_step_keep_states(
	struct sequence *s, struct request *r, struct request_answer *a);
/* Forget them. */
void sequence_step_drop_states(struct sequence *s);

#endif
