/*
 * pbtxt.h: protobuf's text format, driven by the descriptor of a message: `name: value`, `name { ... }`, lists in
 * brackets, comments behind #. What it says is written as that message on the wire, for protobuf-c to unpack: what
 * is in memory then is protobuf-c's affair alone.
 */
#ifndef MODELS_PBTXT_H
#define MODELS_PBTXT_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define PBTXT_FAULTS_MAX 20u

enum {
	PBTXT_E_INVALID = 1, /* text says what is wrong, with line and column */
};

/* The fields of the message itself that were there, of those whose number is below 64. */
struct pbtxt_fields {
	uint64_t present;  /* bit i: number i */
	unsigned line[64]; /* where it is for the first time; 0: nowhere */
};

/*
 * Append the message to *out. data: n bytes, of any kind. ret_fields: set where nothing is wrong.
 *
 * PBTXT_E_INVALID  text (cap bytes) has a line "LINE:COLUMN: what" for each thing that is wrong, up to PBTXT_FAULTS_MAX
 * -ENOMEM; -ENOBUFS: more than *out may hold
 */
_must_use_ int pbtxt_read(const ProtobufCMessageDescriptor *type, const char *data, size_t n,
	struct buf *out, struct pbtxt_fields *ret_fields, char *text, size_t cap);

#endif
