/* columns.c: lines are folded at blanks. modelctl, one thread. */
#include "clients/modelctl/columns.h"

#include <string.h>

/* How much of the n bytes of a line goes into `room` columns: up to a blank behind `from`, all of it where there is none. */
static size_t fold(const char *line, size_t n, size_t from, size_t room)
{
	size_t at = room;

	if (n <= room)
		return n;
	while (at > from && line[at] != ' ')
		at--;
	if (at > from)
		return at;
	for (at = room; at < n && line[at] != ' ';)
		at++;
	return at;
}

/* Blanks that a line begins with are no place to fold it. */
static size_t first_word(const char *line, size_t n)
{
	size_t at = 0;

	while (at < n && line[at] == ' ')
		at++;
	return at;
}

static void print_line(FILE *out, const char *line, size_t n, unsigned indent)
{
	size_t room = COLUMNS_MAX;
	size_t from = first_word(line, n);

	for (;;) {
		size_t part = fold(line, n, from, room);

		(void)fprintf(out, "%.*s\n", (int)part, line);
		part += first_word(line + part, n - part);
		line += part;
		n -= part;
		if (n == 0)
			return;
		(void)fprintf(out, "%*s", (int)indent, "");
		room = COLUMNS_MAX - indent;
		from = 0;
	}
}

void columns_print(FILE *out, const char *text, unsigned indent)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		print_line(out, text, n, indent);
		text += n + (text[n] == '\n');
	}
}
