/* json_message.c: by the message's descriptor. modelctl, one thread. */
#include "clients/modelctl/json_message.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *enum_name(const ProtobufCFieldDescriptor *f, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);

	return v ? v->name : "";
}

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
	case PROTOBUF_C_TYPE_ENUM:
		json_string(j, key, enum_name(f, *(const int *)at));
		return sizeof(int);
	case PROTOBUF_C_TYPE_INT32:
		json_i64(j, key, *(const int32_t *)at);
		return sizeof(int32_t);
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

/* An entry of a map with texts as keys: a message of two fields, key and value, in its own map. */
static bool is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	size_t n;

	if (f->type != PROTOBUF_C_TYPE_MESSAGE || d->n_fields != 2)
		return false;
	n = strlen(d->short_name);
	return n > 5 && !strcmp(d->short_name + n - 5, "Entry") &&
	       !strcmp(d->fields[0].name, "key") && !strcmp(d->fields[1].name, "value") &&
	       d->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static void put_map(struct json *j, const ProtobufCFieldDescriptor *f,
	const ProtobufCMessage *const *entries, size_t n)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;

	json_open(j, f->name, '{');
	for (size_t i = 0; i < n; i++) {
		const char *entry = (const char *)entries[i];

		(void)put_value(j, *(const char *const *)(entry + d->fields[0].offset),
			&d->fields[1], entry + d->fields[1].offset);
	}
	json_close(j, '}');
}

static void put_list(
	struct json *j, const ProtobufCFieldDescriptor *f, const char *elements, size_t n)
{
	json_open(j, f->name, '[');
	for (size_t i = 0; i < n; i++)
		elements += put_value(j, NULL, f, elements);
	json_close(j, ']');
}

static void put_repeated(
	struct json *j, const ProtobufCFieldDescriptor *f, const char *m, const void *at)
{
	size_t n = *(const size_t *)(m + f->quantifier_offset);

	if (is_map(f))
		put_map(j, f, *(const ProtobufCMessage *const *const *)at, n);
	else
		put_list(j, f, *(const char *const *)at, n);
}

static bool is_chosen(const ProtobufCFieldDescriptor *f, const char *m)
{
	return !(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
	       *(const uint32_t *)(m + f->quantifier_offset) == f->id;
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
			put_repeated(j, f, (const char *)m, at);
		else if (is_chosen(f, (const char *)m) && is_known(f, at))
			put_value(j, f->name, f, at);
	}
	json_close(j, '}');
}
