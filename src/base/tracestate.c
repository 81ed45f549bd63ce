/* tracestate.c: the form of a tracestate header, as level 2 of Trace Context has it. Pure. */
#include "base/tracestate.h"

#include <string.h>

#define KEY_MAX	   256u
#define VALUE_MAX  256u
#define LONG_BYTES 128u

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_mark(char c)
{
	return c == '_' || c == '-' || c == '*' || c == '@' || c == '/';
}

/* Of lower-case letters, digits and _-*@/, the first of which is a letter or a digit. */
static bool is_key(const char *text, size_t n)
{
	if (n == 0 || n > KEY_MAX || !is_lower_or_digit(text[0]))
		return false;
	for (size_t i = 1; i < n; i++) {
		if (!is_lower_or_digit(text[i]) && !is_mark(text[i]))
			return false;
	}
	return true;
}

/* Spaces around it are none of it any more. */
static bool is_value(const char *text, size_t n)
{
	if (n == 0 || n > VALUE_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < ' ' || text[i] > '~' || text[i] == '=')
			return false;
	}
	return true;
}

static bool is_member(const char *text, size_t n)
{
	const char *equals = memchr(text, '=', n);
	size_t n_key = equals ? (size_t)(equals - text) : n;

	return equals && is_key(text, n_key) && is_value(equals + 1, n - n_key - 1);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void append(struct tracestate *t, const char *member, size_t n)
{
	if (t->n > 0)
		t->text[t->n++] = ',';
	memcpy(t->text + t->n, member, n);
	t->n = (uint16_t)(t->n + n);
	t->text[t->n] = '\0';
}

static bool fits(const struct tracestate *t, size_t n)
{
	return t->n + (t->n > 0) + n <= TRACESTATE_BYTES;
}

static void drop_long(struct tracestate *t)
{
	struct tracestate kept = {.n_members = t->n_members};

	for (const char *at = t->text, *end; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, ',');
		if ((size_t)(end - at) <= LONG_BYTES)
			append(&kept, at, (size_t)(end - at));
	}
	*t = kept;
}

static void add_member(struct tracestate *t, const char *member, size_t n)
{
	bool is_tight = !fits(t, n);

	if (is_tight)
		drop_long(t);
	if (fits(t, n) && !(is_tight && n > LONG_BYTES))
		append(t, member, n);
}

/* False: it is malformed, or one too many. */
static bool take_member(struct tracestate *t, const char *text, size_t n)
{
	while (n > 0 && is_space(text[0])) {
		text++;
		n--;
	}
	while (n > 0 && is_space(text[n - 1]))
		n--;
	if (n == 0)
		return true; /* which may be */
	if (t->n_members == TRACESTATE_MEMBERS || !is_member(text, n))
		return false;
	t->n_members++;
	add_member(t, text, n);
	return true;
}

void tracestate_add(struct tracestate *t, const char *text, size_t n)
{
	for (const char *end = text + n, *comma; !t->malformed; text = comma + 1) {
		comma = memchr(text, ',', (size_t)(end - text));
		if (!take_member(t, text, (size_t)((comma ? comma : end) - text)))
			*t = (struct tracestate){.malformed = true};
		if (!comma)
			return;
	}
}
