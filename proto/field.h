/*
 * field.h: the fields of a protobuf message in memory, one after another, for what the codec's tables
 * cannot say: fields of a oneof that are no messages, numbers that go elsewhere than into an array.
 */
#ifndef PROTO_FIELD_H
#define PROTO_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Bytes still to be read. */
struct field_reader {
	const uint8_t *at;
	const uint8_t *end;
};

enum field_wire {
	FIELD_VARINT = 0,
	FIELD_FIXED64 = 1,
	FIELD_DELIMITED = 2,
	FIELD_FIXED32 = 5,
};

struct field {
	uint32_t number;
	enum field_wire wire;
	uint64_t value;	      /* of a varint or a fixed number */
	const uint8_t *bytes; /* of a delimited one; they lie in the message */
	size_t n;
};

enum {
	FIELD_E_END = 1, /* there are no more */
};

/* FIELD_E_END; -EPROTO: cut, a number of more than 64 bits, a group, no field number */
_must_use_ int field_next(struct field_reader *r, struct field *ret_field);
/* A varint without a tag, as in packed numbers. The same. */
_must_use_ int field_next_varint(struct field_reader *r, uint64_t *ret_value);

#endif
