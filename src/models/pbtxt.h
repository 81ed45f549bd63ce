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

enum {
	PBTXT_E_INVALID = 1, /* text says what is wrong, with line and column */
};

/*
 * Append the message to *out. data: n bytes, of any kind. ret_present: bit i: field number i was there (those
 * below 64).
 *
 * PBTXT_E_INVALID  text (cap bytes)
 * -ENOMEM; -ENOBUFS: more than *out may hold
 */
_must_use_ int pbtxt_read(const ProtobufCMessageDescriptor *type, const char *data, size_t n,
	struct buf *out, uint64_t *ret_present, char *text, size_t cap);

#endif
