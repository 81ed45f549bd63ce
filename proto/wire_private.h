/* wire_private.h: what wire*.c share, and their tests. Nobody else includes it. */
#ifndef PROTO_WIRE_PRIVATE_H
#define PROTO_WIRE_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/codec.h"
#include "proto/wire.h"

#define WIRE_TYPE_MAX	     WIRE_IMPORTED
#define WIRE_RECORD_MESSAGES 1 /* Record's field */

struct wire_scratch {
	struct bump unpacked;	     /* of `memory` */
	struct wire_message message; /* what wire_unpack() returned last */
	/* What wire_pack() returned last, at its end; the head of a record is put ahead of its message. */
	uint8_t record[CODEC_HEAD_MAX + WIRE_MESSAGE_MAX];
	_Alignas(uint64_t) uint8_t memory[WIRE_SCRATCH_MAX];
};

extern const struct codec_message wire_run_table;      /* struct wire_run */
extern const struct codec_message wire_release_table;  /* struct wire_release */
extern const struct codec_message wire_envelope_table; /* struct wire_message */

#endif
