/* fake_messages.h: wire messages to test with, and their comparison. */
#ifndef TESTS_UNIT_PROTO_FAKE_MESSAGES_H
#define TESTS_UNIT_PROTO_FAKE_MESSAGES_H

#include <stdint.h>

#include "proto/wire_private.h"

#define FIRST_TYPE WIRE_SETUP
#define LAST_TYPE  WIRE_IMPORTED

/* A message with every field set and every string holding one '~'; static storage. */
const struct wire_message *sample_message(enum wire_type type);
/* wire_unpack() of a record that must hold one message: -EPROTO where it holds more. */
int unpack_alone(struct wire_scratch *s, const uint8_t *record, size_t n,
	const struct wire_message **ret_message);
/* Bytes of it that wire_unpack() took. */
size_t scratch_used(const struct wire_scratch *s);
/* Asserts that they are of one type and equal; NULL strings count as empty. */
void assert_same_message(const struct wire_message *a, const struct wire_message *b);

/* A small generator, so that a failure can be repeated. */
uint64_t random_next(uint64_t *state);

#define RANDOM_TENSORS 8u

/* An item within the limits and what it points to. */
struct random_item {
	struct wire_item item;
	struct wire_tensor inputs[RANDOM_TENSORS];
	int64_t dims[RANDOM_TENSORS][TENSOR_RANK_MAX];
	uint32_t outputs[RANDOM_TENSORS];
	struct wire_pair parameters[RANDOM_TENSORS];
	char text[512];
	struct wire_target targets[RANDOM_TENSORS];
};

void random_item(struct random_item *r, uint64_t *state);

#endif
