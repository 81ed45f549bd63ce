/*
 * pbjson.h: protobuf's JSON, driven by the descriptor of a message: names of fields as in the .proto file or in camelCase, 64-bit
 * integers as numbers or as texts, enumerators by name or number, maps as objects, null as if it were not there. What it says is
 * written as that message on the wire, as by pbtxt.h.
 */
#ifndef MODELS_PBJSON_H
#define MODELS_PBJSON_H

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum {
	PBJSON_E_INVALID = 1, /* text says what is wrong, with the field, or with line and column */
};

/*
 * Append the message to *out. json: n bytes, of any kind, one object. ret_present: bit i: field number i was there (those
 * below 64). The type has no fields of bytes (asserted).
 *
 * PBJSON_E_INVALID  text (cap bytes)
 * -ENOMEM; -ENOBUFS: more than *out may hold
 */
_must_use_ int pbjson_read(const ProtobufCMessageDescriptor *type, const char *json, size_t n,
	struct buf *out, uint64_t *ret_present, char *text, size_t cap);

#endif
