/* pbtxt.c: a recursive descent, one token ahead. Daemon process, any thread. */
#include "models/pbtxt.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/pbwire.h"

#define DEPTH_MAX  16u
#define NUMBER_MAX 64u /* characters of a number */

struct parser {
	const char *at; /* borrow: what is left */
	const char *end;
	unsigned line;
	unsigned column;
	unsigned depth;
	char *text; /* borrow: of the error */
	size_t cap;
};

/* A piece of the input. */
struct span_of_text {
	const char *data;
	size_t n;
};

static int read_message(struct parser *p, const ProtobufCMessageDescriptor *type, char close,
	struct buf *out, uint64_t *ret_present);

/* --- Characters ----------------------------------------------------------------------------------- */

static int invalid(struct parser *p, const char *format, ...) _printf_(2, 3);
static int invalid(struct parser *p, const char *format, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(p->text, p->cap, "%u:%u: %s", p->line, p->column, what);
	return PBTXT_E_INVALID;
}

/* 0 at the end. */
static char peek(const struct parser *p)
{
	return p->at < p->end ? *p->at : '\0';
}

static void advance(struct parser *p)
{
	p->column++;
	if (*p->at++ != '\n')
		return;
	p->line++;
	p->column = 1;
}

static void skip_space(struct parser *p)
{
	while (p->at < p->end) {
		if (*p->at == '#') {
			while (p->at < p->end && *p->at != '\n')
				advance(p);
		} else if (isspace((unsigned char)*p->at)) {
			advance(p);
		} else {
			return;
		}
	}
}

/* Take c, and what is blank behind it, if it is next. */
static bool take(struct parser *p, char c)
{
	if (p->at == p->end || *p->at != c)
		return false;
	advance(p);
	skip_space(p);
	return true;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* A name, a number, true, an enumerator. n 0: none is next. */
static struct span_of_text take_word(struct parser *p)
{
	struct span_of_text w = {.data = p->at};

	while (p->at < p->end &&
		(is_word(*p->at) || *p->at == '.' || *p->at == '-' || *p->at == '+'))
		advance(p);
	w.n = (size_t)(p->at - w.data);
	skip_space(p);
	return w;
}

static bool word_is(struct span_of_text w, const char *text)
{
	return w.n == strlen(text) && !memcmp(w.data, text, w.n);
}

/* --- Numbers -------------------------------------------------------------------------------------- */

/* NUL-terminated, for strtoull() and its kind. False: too long for any number. */
static bool copy_word(struct span_of_text w, char out[NUMBER_MAX])
{
	if (w.n == 0 || w.n >= NUMBER_MAX)
		return false;
	memcpy(out, w.data, w.n);
	out[w.n] = 0;
	return true;
}

static bool parse_signed(struct span_of_text w, int64_t min, int64_t max, uint64_t *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;
	long long v;

	if (!copy_word(w, digits) || *digits == '+')
		return false;
	errno = 0;
	v = strtoll(digits, &end, 0);
	if (errno || *end || v < min || v > max)
		return false;
	*ret_v = (uint64_t)v;
	return true;
}

static bool parse_unsigned(struct span_of_text w, uint64_t max, uint64_t *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;
	unsigned long long v;

	if (!copy_word(w, digits) || !isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	v = strtoull(digits, &end, 0);
	if (errno || *end || v > max)
		return false;
	*ret_v = v;
	return true;
}

static bool parse_bool(struct span_of_text w, uint64_t *ret_v)
{
	bool yes = word_is(w, "true") || word_is(w, "t") || word_is(w, "True") || word_is(w, "1");

	*ret_v = yes;
	return yes || word_is(w, "false") || word_is(w, "f") || word_is(w, "False") ||
	       word_is(w, "0");
}

static bool parse_enum(const ProtobufCEnumDescriptor *type, struct span_of_text w, uint64_t *ret_v)
{
	for (unsigned i = 0; i < type->n_values; i++) {
		if (!word_is(w, type->values[i].name))
			continue;
		*ret_v = (uint64_t)(int64_t)type->values[i].value;
		return true;
	}
	return parse_signed(w, 0, INT32_MAX, ret_v) &&
	       protobuf_c_enum_descriptor_get_value(type, (int)*ret_v);
}

static bool parse_varint(const ProtobufCFieldDescriptor *f, struct span_of_text w, uint64_t *ret_v)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
		return parse_signed(w, INT32_MIN, INT32_MAX, ret_v);
	case PROTOBUF_C_TYPE_INT64:
		return parse_signed(w, INT64_MIN, INT64_MAX, ret_v);
	case PROTOBUF_C_TYPE_UINT32:
		return parse_unsigned(w, UINT32_MAX, ret_v);
	case PROTOBUF_C_TYPE_UINT64:
		return parse_unsigned(w, UINT64_MAX, ret_v);
	case PROTOBUF_C_TYPE_BOOL:
		return parse_bool(w, ret_v);
	case PROTOBUF_C_TYPE_ENUM:
		return parse_enum(f->descriptor, w, ret_v);
	default:
		return false;
	}
}

static bool parse_double(struct span_of_text w, double *ret_v)
{
	char digits[NUMBER_MAX];
	char *end;

	if (!copy_word(w, digits))
		return false;
	*ret_v = strtod(digits, &end);
	return end > digits && (!*end || !strcmp(end, "f"));
}

static int read_number(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	struct parser before = *p;
	struct span_of_text w = take_word(p);
	bool is_real = f->type == PROTOBUF_C_TYPE_DOUBLE || f->type == PROTOBUF_C_TYPE_FLOAT;
	double real = 0;
	uint64_t v = 0;

	if (is_real ? !parse_double(w, &real) : !parse_varint(f, w, &v)) {
		*p = before;
		return invalid(
			p, "'%.*s' is no value of %s", (int)(w.n < 40 ? w.n : 40), w.data, f->name);
	}
	return is_real ? pbwire_put_real(out, f, real) : pbwire_put_integer(out, f, v);
}

/* --- Strings -------------------------------------------------------------------------------------- */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Behind a backslash: up to three octal digits, or x and up to two others. */
static char read_code(struct parser *p)
{
	char digits[4] = "";
	bool hex = peek(p) == 'x';
	size_t n = 0;

	if (hex)
		advance(p);
	while (n < (hex ? 2u : 3u) && p->at < p->end &&
		(hex ? isxdigit((unsigned char)*p->at) != 0 : is_octal(*p->at))) {
		digits[n++] = *p->at;
		advance(p);
	}
	return (char)strtoul(digits, NULL, hex ? 16 : 8);
}

static int read_escape(struct parser *p, char *ret_c)
{
	static const char names[] = "abfnrtv\\'\"?";
	static const char values[] = "\a\b\f\n\r\t\v\\'\"?";
	char c = peek(p);
	const char *name = c ? strchr(names, c) : NULL;

	if (is_octal(c) || c == 'x') {
		*ret_c = read_code(p);
		return 0;
	}
	if (!name)
		return invalid(p, "unknown escape in a string");
	*ret_c = values[name - names];
	advance(p);
	return 0;
}

/* From behind the opening quote on. */
static int read_quoted(struct parser *p, char quote, struct buf *out)
{
	while (p->at < p->end && *p->at != quote && *p->at != '\n') {
		char c = *p->at;
		int r = 0;

		advance(p);
		if (c == '\\')
			r = read_escape(p, &c);
		if (!r)
			r = buf_append(out, &c, 1);
		if (r)
			return r;
	}
	return take(p, quote) ? 0 : invalid(p, "a string does not end in its line");
}

static int read_string(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf s = {.max = out->max};
	int r = 0;

	if (peek(p) != '"' && peek(p) != '\'')
		return invalid(p, "a string in quotes is expected for %s", f->name);
	while (!r && (peek(p) == '"' || peek(p) == '\'')) {
		char quote = *p->at;

		advance(p);
		r = read_quoted(p, quote, &s);
	}
	if (!r && memchr(s.data ? s.data : (const uint8_t *)"", 0, s.len) &&
		f->type == PROTOBUF_C_TYPE_STRING)
		return invalid(p, "a string has a NUL character: %s", f->name);
	return r ? r : pbwire_put_bytes(out, f, s.data, s.len);
}

/* --- Fields --------------------------------------------------------------------------------------- */

static int read_nested(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	_cleanup_(buf_deinit) struct buf inner = {.max = out->max};
	uint64_t present;
	char close;
	int r;

	if (peek(p) != '{' && peek(p) != '<')
		return invalid(p, "'{' is expected behind %s", f->name);
	close = *p->at == '{' ? '}' : '>';
	take(p, *p->at);
	if (p->depth == DEPTH_MAX)
		return invalid(p, "messages are nested too deeply");
	p->depth++;
	r = read_message(p, f->descriptor, close, &inner, &present);
	p->depth--;
	return r ? r : pbwire_put_bytes(out, f, inner.data, inner.len);
}

static int read_value(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		return read_nested(p, f, out);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
		return read_string(p, f, out);
	default:
		return read_number(p, f, out);
	}
}

static int read_list(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return invalid(p, "%s takes one value, no list", f->name);
	if (take(p, ']'))
		return 0;
	do {
		int r = read_value(p, f, out);

		if (r)
			return r;
	} while (take(p, ','));
	return take(p, ']') ? 0 : invalid(p, "',' or ']' is expected in the list of %s", f->name);
}

static const ProtobufCFieldDescriptor *find_field(
	const ProtobufCMessageDescriptor *type, struct span_of_text name)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (word_is(name, type->fields[i].name))
			return &type->fields[i];
	}
	return NULL;
}

static int read_field(struct parser *p, const ProtobufCMessageDescriptor *type, struct buf *out,
	uint64_t *present, uint64_t *seen)
{
	struct parser before = *p;
	struct span_of_text name = take_word(p);
	const ProtobufCFieldDescriptor *f = find_field(type, name);
	uint64_t bit;
	bool colon;
	int r;

	if (!f) {
		*p = before;
		return name.n ? invalid(p, "%s has no field '%.*s'", type->short_name,
					(int)(name.n < 40 ? name.n : 40), name.data)
			      : invalid(p, "the name of a field is expected");
	}
	bit = pbwire_bit(type, f);
	if (*seen & bit) {
		*p = before;
		return invalid(p, "%s is set twice, or beside what excludes it", f->name);
	}
	*seen |= bit;
	*present |= pbwire_present_bit(f);
	colon = take(p, ':');
	if (!colon && f->type != PROTOBUF_C_TYPE_MESSAGE)
		return invalid(p, "':' is expected behind %s", f->name);
	r = take(p, '[') ? read_list(p, f, out) : read_value(p, f, out);
	if (!r && !take(p, ','))
		take(p, ';');
	return r;
}

/* close 0: up to the end of the input. */
static int read_message(struct parser *p, const ProtobufCMessageDescriptor *type, char close,
	struct buf *out, uint64_t *ret_present)
{
	uint64_t seen = 0;
	int r = 0;

	*ret_present = 0;
	while (!r) {
		if (p->at == p->end)
			return close ? invalid(p, "'%c' is missing at the end", close) : 0;
		if (close && take(p, close))
			return 0;
		r = read_field(p, type, out, ret_present, &seen);
	}
	return r;
}

int pbtxt_read(const ProtobufCMessageDescriptor *type, const char *data, size_t n, struct buf *out,
	uint64_t *ret_present, char *text, size_t cap)
{
	struct parser p = {
		.at = data, .end = data + n, .line = 1, .column = 1, .text = text, .cap = cap};

	skip_space(&p);
	return read_message(&p, type, 0, out, ret_present);
}
