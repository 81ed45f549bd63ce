/* field.c: the fields of a protobuf message in memory; a border. No state; any process, any thread. */
#include "proto/field.h"

#include <errno.h>
#include <string.h>

#define NUMBER_MAX 0x1FFFFFFFu

int field_next_varint(struct field_reader *r, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (r->at == r->end)
		return FIELD_E_END;
	for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
		uint8_t byte = *r->at++;

		if (shift == 63 && byte > 1)
			return -EPROTO;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return 0;
		}
	}
	return -EPROTO;
}

static int take(struct field_reader *r, uint64_t n, const uint8_t **ret_bytes)
{
	if (n > (uint64_t)(r->end - r->at))
		return -EPROTO;
	*ret_bytes = r->at;
	r->at += n;
	return 0;
}

static int take_fixed(struct field_reader *r, size_t n, uint64_t *ret_value)
{
	const uint8_t *bytes;

	if (take(r, n, &bytes))
		return -EPROTO;
	*ret_value = 0;
	for (size_t i = 0; i < n; i++)
		*ret_value |= (uint64_t)bytes[i] << 8 * i;
	return 0;
}

static int take_delimited(struct field_reader *r, struct field *f)
{
	uint64_t n;

	if (field_next_varint(r, &n) || take(r, n, &f->bytes))
		return -EPROTO;
	f->n = (size_t)n;
	return 0;
}

static int take_value(struct field_reader *r, struct field *f)
{
	switch (f->wire) {
	case FIELD_VARINT:
		return field_next_varint(r, &f->value) ? -EPROTO : 0;
	case FIELD_FIXED64:
		return take_fixed(r, 8, &f->value);
	case FIELD_DELIMITED:
		return take_delimited(r, f);
	case FIELD_FIXED32:
		return take_fixed(r, 4, &f->value);
	default:
		return -EPROTO;
	}
}

int field_next(struct field_reader *r, struct field *ret_field)
{
	struct field f = {0};
	uint64_t tag;
	int e = field_next_varint(r, &tag);

	if (e)
		return e;
	if (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
		return -EPROTO;
	f.number = (uint32_t)(tag >> 3);
	f.wire = (enum field_wire)(tag & 7);
	e = take_value(r, &f);
	if (!e)
		*ret_field = f;
	return e;
}
