/* json.c: JSON to a stream. Text that is no valid UTF-8 is escaped byte by byte. modelctl, one thread. */
#include "clients/modelctl/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/utf8.h"

void json_init(struct json *j, FILE *out)
{
	memset(j, 0, sizeof(*j));
	j->out = out;
}

static void write_string_n(FILE *out, const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;

	(void)fputc('"', out);
	while (left) {
		size_t n = utf8_length((const char *)s, left);
		size_t taken = n ? n : 1;

		if (*s == '"' || *s == '\\')
			(void)fprintf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7F || n == 0)
			(void)fprintf(out, "\\u%04x", *s);
		else
			(void)fwrite(s, 1, n, out);
		s += taken;
		left -= taken;
	}
	(void)fputc('"', out);
}

static void write_string(FILE *out, const char *text)
{
	write_string_n(out, text, strlen(text));
}

static void break_line(struct json *j)
{
	if (j->one_line)
		return;
	(void)fputc('\n', j->out);
	for (unsigned i = 0; i < j->depth; i++)
		(void)fputs("  ", j->out);
}

/* What stands before a value: comma, line, indentation, key. */
static void lead(struct json *j, const char *key)
{
	if (j->depth > 0) {
		if (j->filled[j->depth])
			(void)fputs(j->one_line ? ", " : ",", j->out);
		j->filled[j->depth] = true;
		break_line(j);
	}
	if (key) {
		write_string(j->out, key);
		(void)fputs(": ", j->out);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	lead(j, key);
	(void)fputc(bracket, j->out);
	j->depth++;
	assert(j->depth < JSON_DEPTH_MAX);
	j->filled[j->depth] = false;
}

void json_close(struct json *j, char bracket)
{
	bool filled = j->filled[j->depth];

	assert(j->depth > 0);
	j->depth--;
	if (filled)
		break_line(j);
	(void)fputc(bracket, j->out);
}

void json_string(struct json *j, const char *key, const char *value)
{
	lead(j, key);
	write_string(j->out, value);
}

void json_string_n(struct json *j, const char *key, const char *value, size_t n)
{
	lead(j, key);
	write_string_n(j->out, value, n);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	lead(j, key);
	(void)fprintf(j->out, "%llu", (unsigned long long)value);
}

void json_i64(struct json *j, const char *key, int64_t value)
{
	lead(j, key);
	(void)fprintf(j->out, "%lld", (long long)value);
}

void json_double(struct json *j, const char *key, double value)
{
	lead(j, key);
	/* JSON knows no NaN and no infinity. */
	if (isfinite(value))
		(void)fprintf(j->out, "%.9g", value);
	else
		(void)fputs("null", j->out);
}

void json_number(struct json *j, const char *key, const char *text)
{
	/* "nan", "-inf": JSON has no such numbers. */
	bool number = strspn(text, "+-0123456789.eE") == strlen(text) && *text;

	lead(j, key);
	(void)fputs(number ? text : "null", j->out);
}

void json_bool(struct json *j, const char *key, bool value)
{
	lead(j, key);
	(void)fputs(value ? "true" : "false", j->out);
}

void json_end(struct json *j)
{
	assert(j->depth == 0);
	(void)fputc('\n', j->out);
}
