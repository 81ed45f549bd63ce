/*
 * pbjson.c: jansson makes values of the text, which are then gone through by the descriptor. Daemon process, any thread.
 *
 * jansson tells no lack of memory from a wrong text but by its code; what is nested deeper than its parser follows is wrong.
 */
#include "models/pbjson.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "models/pbwire.h"

#define DEPTH_MAX  16u
#define NUMBER_MAX 64u /* characters of a number that is a text */

struct reader {
	unsigned depth;
	char *text; /* borrow: of the error */
	size_t cap;
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
	const json_t *value, struct buf *out, uint64_t *ret_present);

static int invalid(struct reader *r, const char *format, ...) _printf_(2, 3);
static int invalid(struct reader *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->text, r->cap, format, ap);
	va_end(ap);
	return PBJSON_E_INVALID;
}

/* For messages. */
static const char *kind_of(const json_t *value)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a text",
		[JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return names[json_typeof(value)];
}

/* --- Numbers -------------------------------------------------------------------------------------- */

/* A number that is a text: digits alone, so that strtoull() and its kind take what JSON would. */
static bool text_of_number(const json_t *value, const char **ret_text)
{
	const char *text = json_string_value(value);
	size_t n = text ? json_string_length(value) : 0;

	if (n == 0 || n >= NUMBER_MAX || !strchr("-0123456789", *text))
		return false;
	*ret_text = text;
	return true;
}

static bool read_signed(const json_t *value, int64_t min, int64_t max, int64_t *ret_v)
{
	double real = json_real_value(value);
	const char *text;
	char *end;

	if (json_is_integer(value)) {
		*ret_v = json_integer_value(value);
	} else if (json_is_real(value)) {
		if (real != trunc(real) || fabs(real) > (double)(INT64_C(1) << 53))
			return false;
		*ret_v = (int64_t)real;
	} else {
		if (!text_of_number(value, &text))
			return false;
		errno = 0;
		*ret_v = strtoll(text, &end, 10);
		if (errno || *end)
			return false;
	}
	return *ret_v >= min && *ret_v <= max;
}

static bool read_unsigned(const json_t *value, uint64_t max, uint64_t *ret_v)
{
	const char *text;
	int64_t v;
	char *end;

	if (!json_is_string(value)) {
		if (!read_signed(value, 0, INT64_MAX, &v))
			return false;
		*ret_v = (uint64_t)v;
		return *ret_v <= max;
	}
	if (!text_of_number(value, &text) || *text == '-')
		return false;
	errno = 0;
	*ret_v = strtoull(text, &end, 10);
	return !errno && !*end && *ret_v <= max;
}

/* In whatever case, as Triton takes them. */
static bool read_enumerator(
	const ProtobufCEnumDescriptor *type, const json_t *value, int64_t *ret_v)
{
	const char *name = json_string_value(value);

	for (unsigned i = 0; name && i < type->n_values; i++) {
		if (strcasecmp(type->values[i].name, name) != 0)
			continue;
		*ret_v = type->values[i].value;
		return true;
	}
	return !name && read_signed(value, 0, INT32_MAX, ret_v) &&
	       protobuf_c_enum_descriptor_get_value(type, (int)*ret_v);
}

/* A key of a map is a text in any case. */
static bool read_bool(const json_t *value, uint64_t *ret_v)
{
	const char *text = json_string_value(value);

	*ret_v = json_is_true(value) || (text && !strcmp(text, "true"));
	return json_is_boolean(value) || *ret_v || (text && !strcmp(text, "false"));
}

static bool read_integer(const ProtobufCFieldDescriptor *f, const json_t *value, uint64_t *ret_v)
{
	int64_t v = 0;
	bool fine;

	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
		return read_unsigned(value, UINT32_MAX, ret_v);
	case PROTOBUF_C_TYPE_UINT64:
		return read_unsigned(value, UINT64_MAX, ret_v);
	case PROTOBUF_C_TYPE_BOOL:
		return read_bool(value, ret_v);
	case PROTOBUF_C_TYPE_INT32:
		fine = read_signed(value, INT32_MIN, INT32_MAX, &v);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		fine = read_enumerator(f->descriptor, value, &v);
		break;
	default:
		assert(f->type == PROTOBUF_C_TYPE_INT64);
		fine = read_signed(value, INT64_MIN, INT64_MAX, &v);
		break;
	}
	*ret_v = (uint64_t)v;
	return fine;
}

static bool read_real(const json_t *value, double *ret_v)
{
	const char *text;
	char *end;

	*ret_v = json_number_value(value);
	if (json_is_number(value))
		return true;
	if (!text_of_number(value, &text))
		return false;
	*ret_v = strtod(text, &end);
	return !*end;
}

static int put_number(
	struct reader *r, const ProtobufCFieldDescriptor *f, const json_t *value, struct buf *out)
{
	bool is_real = f->type == PROTOBUF_C_TYPE_DOUBLE || f->type == PROTOBUF_C_TYPE_FLOAT;
	double real = 0;
	uint64_t v = 0;

	if (is_real ? !read_real(value, &real) : !read_integer(f, value, &v))
		return json_is_string(value)
			       ? invalid(r, "'%.40s' is no value of %s", json_string_value(value),
					 f->name)
			       : invalid(r, "%s is no value of %s, or one out of its range",
					 kind_of(value), f->name);
	return is_real ? pbwire_put_real(out, f, real) : pbwire_put_integer(out, f, v);
}

/* --- Values --------------------------------------------------------------------------------------- */

static int put_message(
	struct reader *r, const ProtobufCFieldDescriptor *f, const json_t *value, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf inner = {.max = out->max};
	uint64_t present;
	int e;

	if (!json_is_object(value))
		return invalid(r, "an object is expected for %s, not %s", f->name, kind_of(value));
	if (r->depth == DEPTH_MAX)
		return invalid(r, "messages are nested too deeply");
	r->depth++;
	e = read_message(r, f->descriptor, value, &inner, &present);
	r->depth--;
	return e ? e : pbwire_put_bytes(out, f, inner.data, inner.len);
}

static int put_value(
	struct reader *r, const ProtobufCFieldDescriptor *f, const json_t *value, struct buf *out)
{
	assert(f->type != PROTOBUF_C_TYPE_BYTES);
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return put_message(r, f, value, out);
	if (f->type != PROTOBUF_C_TYPE_STRING)
		return put_number(r, f, value, out);
	if (!json_is_string(value))
		return invalid(r, "a text is expected for %s, not %s", f->name, kind_of(value));
	return pbwire_put_bytes(out, f, json_string_value(value), json_string_length(value));
}

static int put_entry(struct reader *r, const ProtobufCFieldDescriptor *f, const char *key,
	const json_t *value, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf inner = {.max = out->max};
	_cleanup_(json_decrefp) json_t *name = json_string(key);
	const ProtobufCMessageDescriptor *entry = f->descriptor;
	int e = name ? put_value(r, &entry->fields[0], name, &inner) : -ENOMEM;

	if (!e)
		e = put_value(r, &entry->fields[1], value, &inner);
	return e ? e : pbwire_put_bytes(out, f, inner.data, inner.len);
}

static int put_map(
	struct reader *r, const ProtobufCFieldDescriptor *f, json_t *value, struct buf *out)
{
	const char *key;
	json_t *item;
	int e = 0;

	if (!json_is_object(value))
		return invalid(r, "an object is expected for %s, not %s", f->name, kind_of(value));
	json_object_foreach(value, key, item)
	{
		e = put_entry(r, f, key, item, out);
		if (e)
			break;
	}
	return e;
}

static int put_list(
	struct reader *r, const ProtobufCFieldDescriptor *f, const json_t *value, struct buf *out)
{
	int e = 0;

	if (!json_is_array(value))
		return invalid(r, "a list is expected for %s, not %s", f->name, kind_of(value));
	for (size_t i = 0; i < json_array_size(value) && !e; i++)
		e = put_value(r, f, json_array_get(value, i), out);
	return e;
}

/* --- Fields --------------------------------------------------------------------------------------- */

/* data_type is dataType, too. */
static bool is_name(const char *field, const char *name)
{
	while (*field) {
		bool camel = *field == '_' && *name != '_' && field[1] >= 'a' && field[1] <= 'z';
		char expected = camel ? (char)(field[1] - 'a' + 'A') : *field;

		if (*name++ != expected)
			return false;
		field += camel ? 2 : 1;
	}
	return !*name;
}

static const ProtobufCFieldDescriptor *find_field(
	const ProtobufCMessageDescriptor *type, const char *name)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (is_name(type->fields[i].name, name))
			return &type->fields[i];
	}
	return NULL;
}

static int put_field(
	struct reader *r, const ProtobufCFieldDescriptor *f, json_t *value, struct buf *out)
{
	if (pbwire_is_map(f))
		return put_map(r, f, value, out);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return put_list(r, f, value, out);
	return put_value(r, f, value, out);
}

static int read_field(struct reader *r, const ProtobufCMessageDescriptor *type, const char *name,
	json_t *value, struct buf *out, uint64_t *present, uint64_t *seen)
{
	const ProtobufCFieldDescriptor *f = find_field(type, name);
	uint64_t bit;

	if (!f)
		return invalid(r, "%s has no field '%.40s'", type->short_name, name);
	if (json_is_null(value))
		return 0;
	bit = pbwire_bit(type, f);
	if (*seen & bit)
		return invalid(r, "%s is set twice, or beside what excludes it", f->name);
	*seen |= bit;
	*present |= pbwire_present_bit(f);
	return put_field(r, f, value, out);
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *type,
	const json_t *value, struct buf *out, uint64_t *ret_present)
{
	uint64_t seen = 0;
	const char *name;
	json_t *item;
	int e = 0;

	*ret_present = 0;
	json_object_foreach((json_t *)value, name, item)
	{
		e = read_field(r, type, name, item, out, ret_present, &seen);
		if (e)
			break;
	}
	return e;
}

static int fail_syntax(struct reader *r, const json_error_t *error)
{
	if (json_error_code(error) == json_error_out_of_memory || !*error->text)
		return -ENOMEM;
	return invalid(r, "%d:%d: %s", error->line > 0 ? error->line : 1,
		error->column > 0 ? error->column : 1, error->text);
}

int pbjson_read(const ProtobufCMessageDescriptor *type, const char *json, size_t n, struct buf *out,
	uint64_t *ret_present, char *text, size_t cap)
{
	struct reader r = {.text = text, .cap = cap};
	json_error_t error;
	_cleanup_(json_decrefp) json_t *value = json_loadb(json, n, JSON_REJECT_DUPLICATES, &error);

	if (!value)
		return fail_syntax(&r, &error);
	if (!json_is_object(value))
		return invalid(&r, "1:1: an object is expected, not %s", kind_of(value));
	return read_message(&r, type, value, out, ret_present);
}
