/*
 * log_json.c: a line of the log as an object of JSON. The fields are read back from the line of text, so that who logs has
 * one way to say them. Pure.
 *
 * Invariant: what is in `out` and CLOSING together is well-formed at any time, and has room.
 */
#include "base/log_json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_text.h"

#define CUT		 ",\"cut\":true"
#define CLOSING		 "\"" CUT "}" /* the most that ends an object from inside a text */
#define VALUE_MAX	 2048u
#define NUMBER_MAX	 20u /* characters; an empty text has less */
#define KEY_CHARS	 "abcdefghijklmnopqrstuvwxyz0123456789_"
#define FORMAT_MODIFIERS "-+ #0123456789.hlzjt"

struct json {
	char *out;
	size_t len;
	size_t room; /* of out, without CLOSING, of which a text that is not cut may have its last quote */
	bool cut;
};

static size_t left(const struct json *j)
{
	return j->len < j->room ? j->room - j->len : 0;
}

/* All of it, or it is cut from here on. */
static void add(struct json *j, const char *text, size_t n)
{
	j->cut |= n > left(j);
	if (j->cut)
		return;
	memcpy(j->out + j->len, text, n);
	j->len += n;
}

static void add_text(struct json *j, const char *text, size_t n)
{
	char character[JSON_CHARACTER_MAX];

	add(j, "\"", 1);
	if (j->cut)
		return;
	for (size_t taken; n > 0 && !j->cut; text += taken, n -= taken)
		add(j, character, json_character(text, n, character, &taken));
	j->out[j->len++] = '"'; /* CLOSING has the room */
}

/* Does the line have it itself? */
static bool is_taken(const char *key, size_t n)
{
	static const char *const ours[] = {"time", "level", "component", "message", "cut"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strlen(ours[i]) == n && !memcmp(ours[i], key, n))
			return true;
	}
	return false;
}

/* The key with a comma ahead, where it is not the first, and the tail behind it. False: there is no room for it and a value. */
static bool add_key(struct json *j, const char *key, size_t n, const char *tail)
{
	bool first = j->len == 0;

	if (j->cut || n + strlen(",\"_\":") + NUMBER_MAX > left(j)) {
		j->cut = true;
		return false;
	}
	add(j, first ? "{" : ",", 1);
	add(j, "\"", 1);
	add(j, key, n);
	add(j, tail, strlen(tail));
	return true;
}

static void add_pair(struct json *j, const char *key, const char *value, size_t n)
{
	if (add_key(j, key, strlen(key), "\":"))
		add_text(j, value, n);
}

static void add_time(struct json *j, uint64_t time_ns)
{
	time_t seconds = (time_t)(time_ns / NS_PER_S);
	char day[sizeof("2026-01-31T12:00:00")], text[sizeof(day) + sizeof(".123Z")];
	struct tm tm;
	int n;

	if (!gmtime_r(&seconds, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		day[0] = '\0';
	n = snprintf(
		text, sizeof(text), "%s.%03uZ", day, (unsigned)(time_ns % NS_PER_S / NS_PER_MS));
	if (add_key(j, "time", strlen("time"), "\":"))
		add_text(j, text, (size_t)n);
}

/* --- Fields ----------------------------------------------------------------------------------- */

/* Bytes of the key that text begins with, "=" not counted; 0: it begins with none. */
static size_t key_length(const char *text)
{
	size_t n = strspn(text, KEY_CHARS);

	return text[n] == '=' ? n : 0;
}

/* Does the format have the key's value as an integer, and nothing else? */
static bool is_integer(const char *format, const char *key, size_t n)
{
	const char *at = format;

	for (; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
		if (key_length(at) != n || memcmp(at, key, n) != 0 || at[n + 1] != '%')
			continue;
		at += n + 2;
		at += strspn(at, FORMAT_MODIFIERS);
		return *at && strchr("diu", *at) && (!at[1] || at[1] == ' ');
	}
	return false;
}

/* Is text an integer as JSON has them? */
static bool is_number(const char *text, size_t n)
{
	size_t sign = n > 0 && text[0] == '-';

	return n > sign && n <= NUMBER_MAX && strspn(text + sign, "0123456789") >= n - sign &&
	       (text[sign] != '0' || n == sign + 1);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* One byte of what log_quote() made, at text; returns how many it is written with. */
static size_t unescape(const char *text, char *ret_byte)
{
	static const char names[] = "n\nr\rt\t";
	int high, low;

	*ret_byte = text[0];
	if (text[0] != '\\' || !text[1])
		return 1;
	*ret_byte = text[1];
	high = text[1] == 'x' ? hex_digit(text[2]) : -1;
	low = high >= 0 ? hex_digit(text[3]) : -1;
	if (low >= 0) {
		*ret_byte = (char)(high * 16 + low);
		return 4;
	}
	for (size_t i = 0; names[i]; i += 2) {
		if (text[1] == names[i])
			*ret_byte = names[i + 1];
	}
	return 2;
}

/* Where a quoted value ends, behind its first quote: at the one that a blank or the end follows. */
static const char *quote_end(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' && text[1])
			text++;
		else if (*text == '"' && (!text[1] || text[1] == ' '))
			break;
	}
	return text;
}

/* A value in quotes; text is behind the first. Returns what follows it. */
static const char *add_quoted(struct json *j, const char *text)
{
	const char *end = quote_end(text);
	char value[VALUE_MAX];
	size_t n = 0;

	while (text < end && n < sizeof(value))
		text += unescape(text, &value[n++]);
	add_text(j, value, n);
	return *end ? end + 1 : end;
}

/* Where an unquoted value ends: ahead of the next key. */
static const char *plain_end(const char *text)
{
	for (; *text; text++) {
		if (*text == ' ' && key_length(text + 1))
			break;
	}
	return text;
}

static const char *add_plain(struct json *j, const char *text, bool integer)
{
	const char *end = plain_end(text);
	size_t n = (size_t)(end - text);

	if (!integer || !is_number(text, n))
		add_text(j, text, n);
	else
		add(j, text, n);
	return end;
}

/* The field at text. Returns what follows it. */
static const char *add_field(struct json *j, const char *text, const char *format)
{
	size_t n = key_length(text);
	const char *value = text + n + 1;

	if (n == 0) { /* words without a key */
		n = (size_t)(plain_end(text) - text);
		add_pair(j, "text", text, n);
		return text + n;
	}
	if (!add_key(j, text, n, is_taken(text, n) ? "_\":" : "\":"))
		return value;
	if (*value == '"')
		return add_quoted(j, value + 1);
	return add_plain(j, value, is_integer(format, text, n));
}

/* "src/pool/worker.c" is of "pool"; what is of no folder below src is the server. */
static void add_component(struct json *j, const char *file)
{
	const char *end = strrchr(file, '/');
	const char *begin = end;

	while (begin && begin > file && begin[-1] != '/')
		begin--;
	if (!begin || (end - begin == 3 && !memcmp(begin, "src", 3)))
		add_pair(j, "component", "server", strlen("server"));
	else
		add_pair(j, "component", begin, (size_t)(end - begin));
}

size_t log_json_write(const struct log_json_entry *e, char *out, size_t cap)
{
	struct json j = {.out = out, .room = cap - strlen(CLOSING)};

	add_time(&j, e->time_ns);
	add_pair(&j, "level", e->level, strlen(e->level));
	if (e->program)
		add_pair(&j, "component", e->program, strlen(e->program));
	else
		add_component(&j, e->file);
	add_pair(&j, "message", e->message, strlen(e->message));
	for (const char *at = e->fields + strspn(e->fields, " "); *at && !j.cut;
		at += strspn(at, " "))
		at = add_field(&j, at, e->format);
	if (j.cut || e->cut) {
		for (const char *c = CUT; *c; c++)
			out[j.len++] = *c;
	}
	out[j.len++] = '}';
	return j.len;
}
