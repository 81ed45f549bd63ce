/* pbtxt.c: a recursive descent, one token ahead. Daemon process, any thread. */
#include "models/pbtxt.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/pbtxt_word.h"
#include "models/pbwire.h"

#define DEPTH_MAX 16u

struct parser {
	const char *at; /* borrow: what is left */
	const char *end;
	unsigned line;
	unsigned column;
	unsigned depth;
	unsigned n_faults;
	bool lost;  /* behind what is at fault now nothing can be told */
	char *text; /* borrow: of the errors */
	size_t cap;
};

static int read_message(struct parser *p, const ProtobufCMessageDescriptor *type, char close,
	struct buf *out, struct pbtxt_fields *fields);

/* --- Characters ----------------------------------------------------------------------------------- */

static int invalid(struct parser *p, const char *format, ...) _printf_(2, 3);
static int invalid(struct parser *p, const char *format, ...)
{
	char what[160];
	size_t n = strlen(p->text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	snprintf(p->text + n, p->cap - n, "%s%u:%u: %s", n ? "\n" : "", p->line, p->column, what);
	p->n_faults++;
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

/* Of the place alone. */
static void rewind_to(struct parser *p, const struct parser *before)
{
	p->at = before->at;
	p->line = before->line;
	p->column = before->column;
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
static struct pbtxt_word take_word(struct parser *p)
{
	struct pbtxt_word w = {.data = p->at};

	while (p->at < p->end &&
		(is_word(*p->at) || *p->at == '.' || *p->at == '-' || *p->at == '+'))
		advance(p);
	w.n = (size_t)(p->at - w.data);
	skip_space(p);
	return w;
}

/* --- Numbers -------------------------------------------------------------------------------------- */

static int read_number(struct parser *p, const ProtobufCFieldDescriptor *f, struct buf *out)
{
	struct parser before = *p;
	struct pbtxt_word w = take_word(p);
	bool is_real = f->type == PROTOBUF_C_TYPE_DOUBLE || f->type == PROTOBUF_C_TYPE_FLOAT;
	double real = 0;
	uint64_t v = 0;

	if (is_real ? !pbtxt_word_real(w, &real) : !pbtxt_word_integer(f, w, &v)) {
		rewind_to(p, &before);
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
	p->lost = peek(p) != quote;
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
	char close;
	int r;

	if (peek(p) != '{' && peek(p) != '<')
		return invalid(p, "'{' is expected behind %s", f->name);
	close = *p->at == '{' ? '}' : '>';
	take(p, *p->at);
	if (p->depth == DEPTH_MAX)
		return invalid(p, "messages are nested too deeply");
	p->depth++;
	r = read_message(p, f->descriptor, close, &inner, NULL);
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
	const ProtobufCMessageDescriptor *type, struct pbtxt_word name)
{
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (pbtxt_word_is(name, type->fields[i].name))
			return &type->fields[i];
	}
	return NULL;
}

static void note_field(
	struct pbtxt_fields *fields, const ProtobufCFieldDescriptor *f, unsigned line)
{
	if (!fields)
		return;
	fields->present |= pbwire_present_bit(f);
	if (f->id < 64 && !fields->line[f->id])
		fields->line[f->id] = line;
}

static int read_field(struct parser *p, const ProtobufCMessageDescriptor *type, struct buf *out,
	struct pbtxt_fields *fields, uint64_t *seen)
{
	struct parser before = *p;
	struct pbtxt_word name = take_word(p);
	const ProtobufCFieldDescriptor *f = find_field(type, name);
	uint64_t bit;
	bool colon;
	int r;

	if (!f) {
		rewind_to(p, &before);
		return name.n ? invalid(p, "%s has no field '%.*s'", type->short_name,
					(int)(name.n < 40 ? name.n : 40), name.data)
			      : invalid(p, "the name of a field is expected");
	}
	bit = pbwire_bit(type, f);
	if (*seen & bit) {
		rewind_to(p, &before);
		return invalid(p, "%s is set twice, or beside what excludes it", f->name);
	}
	*seen |= bit;
	note_field(fields, f, before.line);
	colon = take(p, ':');
	if (!colon && f->type != PROTOBUF_C_TYPE_MESSAGE)
		return invalid(p, "':' is expected behind %s", f->name);
	r = take(p, '[') ? read_list(p, f, out) : read_value(p, f, out);
	if (!r && !take(p, ','))
		take(p, ';');
	return r;
}

/* --- Going on behind a fault ------------------------------------------------------------------------ */

static void skip_string(struct parser *p)
{
	char quote = *p->at;

	advance(p);
	while (p->at < p->end && *p->at != quote && *p->at != '\n') {
		if (*p->at == '\\' && p->at + 1 < p->end)
			advance(p);
		advance(p);
	}
	if (p->at < p->end && *p->at == quote)
		advance(p);
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/* Is c where a field ends that has opened nothing? A value may be in the line behind its colon. */
static bool ends_field(char c, char last)
{
	return is_one_of(c, "}>],;") || (c == '\n' && last != ':');
}

/* From its name on: to the end of its line, or of what it opens. */
static void skip_field(struct parser *p)
{
	unsigned depth = 0;
	char last = 0;

	while (p->at < p->end && (depth > 0 || !ends_field(*p->at, last))) {
		char c = *p->at;

		last = isspace((unsigned char)c) ? last : c;
		if (c == '"' || c == '\'') {
			skip_string(p);
			continue;
		}
		while (c == '#' && p->at + 1 < p->end && p->at[1] != '\n')
			advance(p);
		advance(p);
		if (is_one_of(c, "{[<"))
			depth++;
		else if (is_one_of(c, "}]>") && --depth == 0)
			break;
	}
	skip_space(p);
	if (!take(p, ','))
		take(p, ';');
}

/* The field that began at `before` is at fault. 0: what is behind it comes next. */
static int recover(struct parser *p, const struct parser *before)
{
	if (p->lost || p->n_faults >= PBTXT_FAULTS_MAX)
		return PBTXT_E_INVALID;
	rewind_to(p, before);
	skip_field(p);
	if (p->at == before->at) {
		advance(p);
		skip_space(p);
	}
	return 0;
}

/* close 0: up to the end of the input. fields: of the outermost message. */
static int read_message(struct parser *p, const ProtobufCMessageDescriptor *type, char close,
	struct buf *out, struct pbtxt_fields *fields)
{
	uint64_t seen = 0;
	int r = 0;

	while (!r) {
		struct parser before = *p;

		/* Behind a fault nobody knows what was to be closed. */
		if (p->at == p->end)
			return close && p->n_faults == 0
				       ? invalid(p, "'%c' is missing at the end", close)
				       : 0;
		if (close && take(p, close))
			return 0;
		r = read_field(p, type, out, fields, &seen);
		if (r == PBTXT_E_INVALID && p->at < p->end)
			r = recover(p, &before);
	}
	return r;
}

int pbtxt_read(const ProtobufCMessageDescriptor *type, const char *data, size_t n, struct buf *out,
	struct pbtxt_fields *ret_fields, char *text, size_t cap)
{
	struct pbtxt_fields fields = {0};
	struct parser p = {
		.at = data, .end = data + n, .line = 1, .column = 1, .text = text, .cap = cap};
	int r;

	*text = 0;
	skip_space(&p);
	r = read_message(&p, type, 0, out, &fields);
	if (!r && p.n_faults > 0)
		r = PBTXT_E_INVALID;
	if (!r)
		*ret_fields = fields;
	return r;
}
