/* pbwire.c: protobuf's wire format. Daemon process, any thread. */
#include "models/pbwire.h"

#include <string.h>

/* --- Fields --------------------------------------------------------------------------------------- */

uint64_t pbwire_present_bit(const ProtobufCFieldDescriptor *f)
{
	return f->id < 64 ? UINT64_C(1) << f->id : 0;
}

uint64_t pbwire_bit(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f)
{
	for (unsigned i = 0; f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && i < type->n_fields; i++) {
		if (type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
			type->fields[i].quantifier_offset == f->quantifier_offset)
			return UINT64_C(1) << (type->fields[i].id & 63);
	}
	return f->label == PROTOBUF_C_LABEL_REPEATED ? 0 : UINT64_C(1) << (f->id & 63);
}

bool pbwire_is_map(const ProtobufCFieldDescriptor *f)
{
	static const char ending[] = "Entry";
	const ProtobufCMessageDescriptor *d = f->descriptor;
	size_t n;

	if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE ||
		d->n_fields != 2)
		return false;
	n = strlen(d->short_name);
	return n >= sizeof(ending) && !strcmp(d->short_name + n - (sizeof(ending) - 1), ending) &&
	       !strcmp(d->fields[0].name, "key") && !strcmp(d->fields[1].name, "value");
}

/* --- Writing -------------------------------------------------------------------------------------- */

static int put_varint(struct buf *out, uint64_t v)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		n++;
		v >>= 7;
	} while (v > 0);
	return buf_append(out, bytes, n);
}

static int put_tag(struct buf *out, uint32_t id, unsigned wire_type)
{
	return put_varint(out, (uint64_t)id << 3 | wire_type);
}

int pbwire_put_integer(struct buf *out, const ProtobufCFieldDescriptor *f, uint64_t value)
{
	int r = put_tag(out, f->id, PROTOBUF_C_WIRE_TYPE_VARINT);

	return r ? r : put_varint(out, value);
}

int pbwire_put_real(struct buf *out, const ProtobufCFieldDescriptor *f, double value)
{
	bool is_double = f->type == PROTOBUF_C_TYPE_DOUBLE;
	float narrow = (float)value;
	int r = put_tag(
		out, f->id, is_double ? PROTOBUF_C_WIRE_TYPE_64BIT : PROTOBUF_C_WIRE_TYPE_32BIT);

	if (r)
		return r;
	return is_double ? buf_append(out, &value, sizeof(value))
			 : buf_append(out, &narrow, sizeof(narrow));
}

int pbwire_put_bytes(struct buf *out, const ProtobufCFieldDescriptor *f, const void *data, size_t n)
{
	int r = put_tag(out, f->id, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED);

	if (!r)
		r = put_varint(out, n);
	return r ? r : buf_append(out, data, n);
}
