/*
 * kserve_contents.c: numbers are taken from the message as it came and written down once, without an array
 * in between. Repeated numbers may be packed, and may come in several pieces. Daemon process, loop
 * thread.
 */
#include "services/kserve_contents.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/field.h"

#define LENGTH_BYTES 4u /* ahead of each element of a BYTES tensor */

/* Fields of InferTensorContents, by number. */
enum typed {
	TYPED_BOOL = 1,
	TYPED_INT,
	TYPED_INT64,
	TYPED_UINT,
	TYPED_UINT64,
	TYPED_FP32,
	TYPED_FP64,
	TYPED_BYTES,
	TYPED_MAX_,
};

static const struct {
	const char *type;
	enum field_wire wire; /* of one element */
} typed[TYPED_MAX_] = {
	[TYPED_BOOL] = {"BOOL", FIELD_VARINT},
	[TYPED_INT] = {"INT32", FIELD_VARINT},
	[TYPED_INT64] = {"INT64", FIELD_VARINT},
	[TYPED_UINT] = {"UINT32", FIELD_VARINT},
	[TYPED_UINT64] = {"UINT64", FIELD_VARINT},
	[TYPED_FP32] = {"FP32", FIELD_FIXED32},
	[TYPED_FP64] = {"FP64", FIELD_FIXED64},
	[TYPED_BYTES] = {"BYTES", FIELD_DELIMITED},
};

/* The field for a dtype; 0: there is none. */
static const uint32_t fields[DTYPE_MAX_] = {
	[DTYPE_BOOL] = TYPED_BOOL,
	[DTYPE_I8] = TYPED_INT,
	[DTYPE_I16] = TYPED_INT,
	[DTYPE_I32] = TYPED_INT,
	[DTYPE_I64] = TYPED_INT64,
	[DTYPE_U8] = TYPED_UINT,
	[DTYPE_U16] = TYPED_UINT,
	[DTYPE_U32] = TYPED_UINT,
	[DTYPE_U64] = TYPED_UINT64,
	[DTYPE_F32] = TYPED_FP32,
	[DTYPE_F64] = TYPED_FP64,
	[DTYPE_BYTES] = TYPED_BYTES,
};

static size_t wire_size(enum field_wire wire)
{
	return wire == FIELD_FIXED64 ? 8 : 4;
}

/* Elements of a field. */
static int count(const struct field *f, enum field_wire wire, uint64_t *ret_n)
{
	struct field_reader r;
	uint64_t value;
	int e = 0;

	*ret_n = 1;
	if (f->wire == wire)
		return 0;
	if (f->wire != FIELD_DELIMITED)
		return -EPROTO;
	if (wire != FIELD_VARINT) {
		*ret_n = f->n / wire_size(wire);
		return f->n % wire_size(wire) ? -EPROTO : 0;
	}
	r = (struct field_reader){f->bytes, f->bytes + f->n};
	for (*ret_n = 0; (e = field_next_varint(&r, &value)) == 0;)
		(*ret_n)++;
	return e == FIELD_E_END ? 0 : e;
}

static int measure(const struct field *f, enum dtype d, uint64_t *bytes, const char **ret_type)
{
	uint64_t n;

	if (f->number >= TYPED_MAX_)
		return 0;
	/* Packed, of no elements. */
	if (f->wire == FIELD_DELIMITED && f->n == 0 && f->number != TYPED_BYTES)
		return 0;
	if (count(f, typed[f->number].wire, &n))
		return -EPROTO;
	if (f->number != fields[d]) {
		*ret_type = typed[f->number].type;
		return KSERVE_CONTENTS_E_TYPE;
	}
	*bytes += f->number == TYPED_BYTES ? LENGTH_BYTES + f->n : n * dtype_size(d);
	return 0;
}

int kserve_contents_measure(
	const uint8_t *contents, size_t n, enum dtype d, uint64_t *ret_bytes, const char **ret_type)
{
	struct field_reader r = {contents, contents + n};
	struct field f;
	int e = 0;
	int end;

	*ret_bytes = 0;
	while (!e && (end = field_next(&r, &f)) == 0)
		e = measure(&f, d, ret_bytes, ret_type);
	if (e)
		return e;
	return end == FIELD_E_END ? 0 : end;
}

/* One element of `size` bytes, little-endian; what is too large for it is cut off. */
static uint8_t *write_number(uint8_t *to, uint64_t value, enum dtype d, size_t size)
{
	if (d == DTYPE_BOOL)
		value = value != 0;
	for (size_t i = 0; i < size; i++)
		*to++ = (uint8_t)(value >> 8 * i);
	return to;
}

static uint8_t *write_packed(uint8_t *to, const struct field *f, enum dtype d)
{
	struct field_reader r = {f->bytes, f->bytes + f->n};
	uint64_t value;

	if (typed[f->number].wire != FIELD_VARINT) {
		if (f->n > 0)
			memcpy(to, f->bytes, f->n);
		return to + f->n;
	}
	while (field_next_varint(&r, &value) == 0)
		to = write_number(to, value, d, dtype_size(d));
	return to;
}

static uint8_t *write_bytes(uint8_t *to, const struct field *f)
{
	to = write_number(to, f->n, DTYPE_U32, LENGTH_BYTES);
	if (f->n > 0)
		memcpy(to, f->bytes, f->n);
	return to + f->n;
}

void kserve_contents_write(const uint8_t *contents, size_t n, enum dtype d, uint8_t *to)
{
	struct field_reader r = {contents, contents + n};
	struct field f;

	while (field_next(&r, &f) == 0) {
		if (f.number >= TYPED_MAX_)
			continue;
		if (f.number == TYPED_BYTES)
			to = write_bytes(to, &f);
		else if (f.wire == FIELD_DELIMITED)
			to = write_packed(to, &f, d);
		else
			to = write_number(to, f.value, d, dtype_size(d));
	}
}
