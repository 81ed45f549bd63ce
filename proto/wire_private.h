/* wire_private.h: what the wire*.c files share. Nobody else includes it. */
#ifndef PROTO_WIRE_PRIVATE_H
#define PROTO_WIRE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

#define WIRE_TYPE_MAX WIRE_UNMAPPED

/*
 * A bump arena: WIRE_SCRATCH_MAX bytes of address space, of which the kernel gives the pages that
 * were ever used. So packing and unpacking never allocate, and memory they returned never moves.
 */
struct wire_scratch {
	uint8_t *memory; /* own */
	size_t used;
	struct wire_message message; /* what wire_unpack() returned last */
};

void wire_scratch_reset(struct wire_scratch *s);
/* Uninitialised, aligned for any type used here; NULL when the arena is exhausted. */
void *wire_scratch_alloc(struct wire_scratch *s, size_t n);
/* The n of the wire_scratch_alloc() that returned p (asserted to be of this arena). */
size_t wire_scratch_size(const struct wire_scratch *s, const void *p);

/*
 * Every limit and rule of wire.h about a message, for both directions alike: what one end packs
 * the other end takes.
 *
 * -EMSGSIZE  above a limit
 * -EINVAL    a value that is never valid
 */
_must_use_ int wire_check(const struct wire_message *m);

/* --- The encoding (wire_pack.c) ---------------------------------------------------------------- */

#define WIRE_VARINT_MAX 10u /* bytes */

size_t wire_varint_size(uint64_t v);
/* Returns how many bytes it took. */
size_t wire_varint_write(uint8_t *out, uint64_t v);
/* A number in a field below 16; proto3 leaves zeros out. */
size_t wire_field_size(uint64_t v);
/* n bytes in a field below 16. */
size_t wire_delimited_size(size_t n);
size_t wire_tensor_size(const struct wire_tensor *t);

/* --- Without protobuf-c (wire_fast.c) ---------------------------------------------------------- */

/* Bytes of the packed body; 0: it must be packed the general way. m was checked. */
size_t wire_fast_size(const struct wire_message *m);
/* Pack what has a fast size; `out` has room for it. Returns that size. */
size_t wire_fast_pack(const struct wire_message *m, uint8_t *out);
/* Unpack the body of a message of m->type; false: it must be unpacked the general way, and what was
 * taken from the scratch, and m but for its type, is void. */
_must_use_ bool wire_fast_unpack(
	struct wire_scratch *s, const uint8_t *data, size_t n, struct wire_message *m);

#endif
