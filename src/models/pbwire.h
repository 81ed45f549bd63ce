/*
 * pbwire.h: what readers of protobuf's texts (pbtxt.h, pbjson.h) have in common: fields are found by a descriptor, and what is said
 * of them is written as the message is on the wire.
 */
#ifndef MODELS_PBWIRE_H
#define MODELS_PBWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* --- Fields --------------------------------------------------------------------------------------- */

/* Which bit of a mask a field, or the choice that it is of, has; 0: it may occur more than once. */
uint64_t pbwire_bit(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f);
/* The bit of its number in a mask of what was there; 0: it has none. */
uint64_t pbwire_present_bit(const ProtobufCFieldDescriptor *f);
/* A list of messages that stands for a map: each has a key and a value. */
bool pbwire_is_map(const ProtobufCFieldDescriptor *f);

/* --- Writing: -ENOMEM; -ENOBUFS: more than *out may hold ------------------------------------------ */

/* As the type of f, which is a number's, true or false, or an enumerator's, has it. */
_must_use_ int pbwire_put_integer(
	struct buf *out, const ProtobufCFieldDescriptor *f, uint64_t value);
/* f is a double or a float. */
_must_use_ int pbwire_put_real(struct buf *out, const ProtobufCFieldDescriptor *f, double value);
/* A string, bytes, or a message that is written already. */
_must_use_ int pbwire_put_bytes(
	struct buf *out, const ProtobufCFieldDescriptor *f, const void *data, size_t n);

#endif
