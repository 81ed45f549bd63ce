/* json_message.c: by the message's descriptor. modelctl, one thread. */
#include "clients/modelctl/json_message.h"

#include <assert.h>
#include <stddef.h>

/* at: where the value lies. Returns its size. */
static size_t put_value(
	struct json *j, const char *key, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		json_string(j, key, *(const char *const *)at);
		return sizeof(char *);
	case PROTOBUF_C_TYPE_MESSAGE:
		json_message(j, key, *(const ProtobufCMessage *const *)at);
		return sizeof(ProtobufCMessage *);
	case PROTOBUF_C_TYPE_BOOL:
		json_bool(j, key, *(const protobuf_c_boolean *)at);
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_DOUBLE:
		json_double(j, key, *(const double *)at);
		return sizeof(double);
	case PROTOBUF_C_TYPE_UINT32:
		json_u64(j, key, *(const uint32_t *)at);
		return sizeof(uint32_t);
	case PROTOBUF_C_TYPE_UINT64:
		json_u64(j, key, *(const uint64_t *)at);
		return sizeof(uint64_t);
	default:
		assert(f->type == PROTOBUF_C_TYPE_INT64);
		json_i64(j, key, *(const int64_t *)at);
		return sizeof(int64_t);
	}
}

static void put_list(
	struct json *j, const ProtobufCFieldDescriptor *f, const char *elements, size_t n)
{
	json_open(j, f->name, '[');
	for (size_t i = 0; i < n; i++)
		elements += put_value(j, NULL, f, elements);
	json_close(j, ']');
}

static bool is_known(const ProtobufCFieldDescriptor *f, const void *at)
{
	if (f->type == PROTOBUF_C_TYPE_INT64)
		return *(const int64_t *)at >= 0;
	return f->type != PROTOBUF_C_TYPE_MESSAGE || *(const void *const *)at;
}

void json_message(struct json *j, const char *key, const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	json_open(j, key, '{');
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const char *at = (const char *)m + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			put_list(j, f, *(const char *const *)at,
				*(const size_t *)((const char *)m + f->quantifier_offset));
		else if (is_known(f, at))
			put_value(j, f->name, f, at);
	}
	json_close(j, '}');
}
