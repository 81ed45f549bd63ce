/*
 * sequence_settings.h: what the repository says of a model's sequences: requests that belong together, which one
 * lane of the model runs in their order. One block of plain data, zeroed before it is filled, so that it is copied
 * and compared whole.
 */
#ifndef DISPATCH_SEQUENCE_SETTINGS_H
#define DISPATCH_SEQUENCE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"
#include "proto/wire.h"

#define SEQUENCE_STATES_MAX    1024u
#define SEQUENCE_NUMBER_BYTES  8u /* of one element of a control input, at most */
#define SEQUENCE_IDLE_US_USUAL UINT64_C(1000000)

enum sequence_strategy {
	SEQUENCE_DIRECT, /* a lane has as many sequences as a batch has rows */
	SEQUENCE_OLDEST, /* a lane has max_candidates */
};

/* What a control input says of a step. */
enum sequence_control {
	SEQUENCE_START,	 /* it is its sequence's first */
	SEQUENCE_READY,	 /* there is one: always */
	SEQUENCE_END,	 /* it is the last */
	SEQUENCE_CORRID, /* whose it is */
	SEQUENCE_CONTROLS_,
};

struct sequence_control_input {
	char name[WIRE_NAME_MAX + 1]; /* of the model's input; "": it takes none of this kind */
	enum dtype dtype;
	uint8_t values
		[2][SEQUENCE_NUMBER_BYTES]; /* one element that says no, and yes; not of CORRID */
};

/* An output of a step that is an input of the next one. Dimensions are without the batch's. */
struct sequence_state {
	char input[WIRE_NAME_MAX + 1];
	char output[WIRE_NAME_MAX + 1];
	enum dtype dtype;
	uint32_t rank; /* of the first step's input, which is all zero */
	int64_t dims[TENSOR_RANK_MAX];
};

struct sequence_settings {
	enum sequence_strategy strategy;
	uint32_t max_candidates; /* OLDEST: sequences that a lane has at once; at least 1 */
	uint64_t idle_us;	 /* one that has asked nothing for so long has ended */
	struct sequence_control_input controls[SEQUENCE_CONTROLS_];
	uint32_t n_states;
	struct sequence_state states[];
};

/* Zeroed, with room for so many states; the caller frees it. NULL: no memory. */
struct sequence_settings *sequence_settings_new(uint32_t n_states);
/* *to is the caller's to free. NULL stays NULL. -ENOMEM */
_must_use_ int sequence_settings_copy(
	struct sequence_settings **to, const struct sequence_settings *from);
/* Both may be NULL. */
bool sequence_settings_equal(const struct sequence_settings *a, const struct sequence_settings *b);
/* Is it an input that clients do not give: a control input or a state? s may be NULL. */
bool sequence_settings_hide_input(const struct sequence_settings *s, const char *name);
/* Is it an output that clients do not get? s may be NULL. */
bool sequence_settings_hide_output(const struct sequence_settings *s, const char *name);

#endif
