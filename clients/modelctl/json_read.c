/* json_read.c: a cursor over JSON text. modelctl, one thread. */
#include "clients/modelctl/json_read.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static void skip_blanks(struct json_reader *r)
{
	while (r->at < r->n && r->text[r->at] && strchr(" \t\r\n", r->text[r->at]))
		r->at++;
}

/* The next byte behind blanks; 0 at the end. */
static char next(struct json_reader *r)
{
	skip_blanks(r);
	return r->at < r->n ? r->text[r->at] : 0;
}

enum json_kind json_read_kind(struct json_reader *r)
{
	char c = next(r);

	if (c == '{')
		return JSON_OBJECT;
	if (c == '[')
		return JSON_ARRAY;
	if (c == '"')
		return JSON_STRING;
	if (c == 't' || c == 'f')
		return JSON_BOOL;
	if (c == 'n')
		return JSON_NULL;
	return c && strchr("-0123456789NI", c) ? JSON_NUMBER : JSON_NOTHING;
}

static int take(struct json_reader *r, char wanted)
{
	if (next(r) != wanted)
		return -EINVAL;
	r->at++;
	return 0;
}

int json_read_enter(struct json_reader *r, char bracket)
{
	return take(r, bracket);
}

int json_read_more(struct json_reader *r, char bracket, bool first)
{
	if (next(r) == (bracket == '{' ? '}' : ']')) {
		r->at++;
		return 0;
	}
	if (!first && take(r, ','))
		return -EINVAL;
	return next(r) ? 1 : -EINVAL;
}

int json_read_name(struct json_reader *r, struct buf *name)
{
	int e = json_read_string(r, name);

	return e ? e : take(r, ':');
}

/* --- Strings ------------------------------------------------------------------------------------ */

static int hex4(struct json_reader *r, uint32_t *ret)
{
	uint32_t value = 0;

	if (r->n - r->at < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		char c = r->text[r->at++];
		const char *at = c ? strchr(digits, c) : NULL;

		if (!at)
			return -EINVAL;
		value = value << 4 | (uint32_t)(at - digits) % 16;
	}
	*ret = value;
	return 0;
}

static int append_utf8(struct buf *out, uint32_t c)
{
	uint8_t bytes[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

	for (size_t i = n; i-- > 1; c >>= 6)
		bytes[i] = (uint8_t)(0x80 | (c & 0x3F));
	bytes[0] = (uint8_t)(lead[n] | c);
	return buf_append(out, bytes, n);
}

/* Behind \u; half a pair alone stands for nothing. */
static int unicode(struct json_reader *r, struct buf *out)
{
	uint32_t c, low;

	if (hex4(r, &c))
		return -EINVAL;
	if (c >= 0xDC00 && c < 0xE000)
		return -EINVAL;
	if (c >= 0xD800 && c < 0xDC00) {
		if (r->n - r->at < 2 || memcmp(r->text + r->at, "\\u", 2) != 0)
			return -EINVAL;
		r->at += 2;
		if (hex4(r, &low) || low < 0xDC00 || low >= 0xE000)
			return -EINVAL;
		c = 0x10000 + ((c - 0xD800) << 10 | (low - 0xDC00));
	}
	return append_utf8(out, c);
}

static int escape(struct json_reader *r, struct buf *out)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *at;
	char c;

	if (r->at == r->n)
		return -EINVAL;
	c = r->text[r->at++];
	if (c == 'u')
		return unicode(r, out);
	at = c ? strchr(letters, c) : NULL;
	return at ? buf_append(out, &meant[at - letters], 1) : -EINVAL;
}

int json_read_string(struct json_reader *r, struct buf *out)
{
	int e = take(r, '"');

	while (!e) {
		size_t from = r->at;

		while (r->at < r->n && r->text[r->at] != '"' && r->text[r->at] != '\\' &&
			(unsigned char)r->text[r->at] >= 0x20)
			r->at++;
		e = buf_append(out, r->text + from, r->at - from);
		if (e)
			break;
		if (r->at == r->n || (unsigned char)r->text[r->at] < 0x20)
			return -EINVAL;
		if (r->text[r->at++] == '"')
			return 0;
		e = escape(r, out);
	}
	return e;
}

/* The same, kept nowhere. */
static int skip_string(struct json_reader *r)
{
	if (take(r, '"'))
		return -EINVAL;
	while (r->at < r->n && r->text[r->at] != '"') {
		if ((unsigned char)r->text[r->at] < 0x20)
			return -EINVAL;
		r->at += r->text[r->at] == '\\' ? 2 : 1;
	}
	if (r->at >= r->n)
		return -EINVAL;
	r->at++;
	return 0;
}

/* --- Words and whole values --------------------------------------------------------------------- */

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '+' || c == '.';
}

static size_t digits(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && text[i] >= '0' && text[i] <= '9')
		i++;
	return i;
}

static bool is_number(const char *text, size_t n)
{
	size_t at = n > 0 && text[0] == '-', part;

	part = digits(text + at, n - at);
	if (part == 0 || (part > 1 && text[at] == '0'))
		return false;
	at += part;
	if (at < n && text[at] == '.') {
		part = digits(text + at + 1, n - at - 1);
		if (part == 0)
			return false;
		at += 1 + part;
	}
	if (at < n && (text[at] == 'e' || text[at] == 'E')) {
		at++;
		at += at < n && (text[at] == '+' || text[at] == '-');
		part = digits(text + at, n - at);
		if (part == 0)
			return false;
		at += part;
	}
	return at == n;
}

static bool is_known(const char *text, size_t n)
{
	static const char *const words[] = {
		"true", "false", "null", "NaN", "Infinity", "-Infinity"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i]) == n && !memcmp(words[i], text, n))
			return true;
	}
	return false;
}

int json_read_word(struct json_reader *r, const char **ret_text, size_t *ret_n)
{
	size_t from;

	skip_blanks(r);
	from = r->at;
	while (r->at < r->n && is_word(r->text[r->at]))
		r->at++;
	*ret_text = r->text + from;
	*ret_n = r->at - from;
	return is_number(*ret_text, *ret_n) || is_known(*ret_text, *ret_n) ? 0 : -EINVAL;
}

/* A value that nothing is nested in; an object's or an array's bracket alone, which is noted. */
static int skip_one(struct json_reader *r, char *brackets, size_t *depth)
{
	enum json_kind kind = json_read_kind(r);
	const char *text;
	size_t n;

	if (kind == JSON_STRING)
		return skip_string(r);
	if (kind != JSON_OBJECT && kind != JSON_ARRAY)
		return json_read_word(r, &text, &n);
	if (*depth == JSON_READ_DEPTH_MAX)
		return -EINVAL;
	brackets[(*depth)++] = r->text[r->at++];
	return 0;
}

int json_read_skip(struct json_reader *r)
{
	char brackets[JSON_READ_DEPTH_MAX];
	size_t depth = 0;
	int e = skip_one(r, brackets, &depth);
	bool first = depth > 0;

	while (!e && depth > 0) {
		size_t before = depth;
		int more = json_read_more(r, brackets[depth - 1], first);

		first = false;
		if (more < 0)
			return -EINVAL;
		if (more == 0) {
			depth--;
			continue;
		}
		if (brackets[depth - 1] == '{' && (skip_string(r) || take(r, ':')))
			return -EINVAL;
		e = skip_one(r, brackets, &depth);
		first = depth > before;
	}
	return e;
}

bool json_read_is_whole(struct json_reader r)
{
	return !json_read_skip(&r) && next(&r) == 0 && r.at == r.n;
}

size_t json_read_line(const struct json_reader *r)
{
	size_t line = 1;

	for (size_t i = 0; i < r->at && i < r->n; i++)
		line += r->text[i] == '\n';
	return line;
}
