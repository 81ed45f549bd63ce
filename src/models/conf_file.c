/*
 * conf_file.c: what inih leaves out: line numbers, lines that are too long for it (it would split
 * them silently), control characters (it would stop at a NUL byte), and stopping at the first error. Daemon process,
 * any thread.
 */
#include "models/conf_file.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <string.h>

#define INIH_NAME_MAX 49 /* inih cuts sections, and the names that it repeats, here */

#define LINE_BYTES 256 /* more than inih gives read_line() */

struct reader {
	FILE *in;	  /* borrow */
	const char *name; /* borrow */
	bool (*on_key)(void *data, const struct conf_line *line);
	void *data; /* borrow: of on_key */
	char *text; /* borrow */
	size_t cap;
	int line;
	bool indented;			 /* the line read last */
	char section[INIH_NAME_MAX + 1]; /* of the key before */
	char key[INIH_NAME_MAX + 1];
	int error;
};

static char *fail(struct reader *r, const char *what)
{
	snprintf(r->text, r->cap, "%s:%d: %s", r->name, r->line, what);
	r->error = CONF_FILE_E_INVALID;
	return NULL;
}

/* fgets() that refuses control characters but for tabs and line ends: -1. Else the length; 0 at the
 * end of the file. */
static int get_line(FILE *in, char *line, int cap)
{
	int n = 0;
	int c = 0;

	while (n < cap - 1 && c != '\n' && (c = getc(in)) != EOF) {
		if ((iscntrl(c) && !strchr("\t\r\n", c)) || c == 0)
			return -1;
		if (n > 0 && line[n - 1] == '\r' && c != '\n')
			return -1;
		line[n++] = (char)c;
	}
	line[n] = 0;
	return n;
}

static char *read_line(char *line, int cap, void *stream)
{
	struct reader *r = stream;
	char what[128];
	int n;

	if (r->error)
		return NULL;
	assert(cap <= LINE_BYTES);
	n = get_line(r->in, line, cap);
	if (n == 0)
		return NULL;
	r->line++;
	if (n < 0)
		return fail(r, "there is a control character");
	if (n == cap - 1 && line[n - 1] != '\n') {
		snprintf(what, sizeof(what),
			"line is longer than %d characters (a list may go on in an indented line)",
			cap - 2);
		return fail(r, what);
	}
	r->indented = isspace((unsigned char)*line);
	return line;
}

/* inih leaves a comment behind the value of an indented line, and one that follows `=` at once. */
static void cut_comment(char *value)
{
	size_t n = 0;

	while (value[n] && (value[n] != ';' || (n > 0 && !isspace((unsigned char)value[n - 1]))))
		n++;
	while (n > 0 && isspace((unsigned char)value[n - 1]))
		n--;
	value[n] = 0;
}

static int on_ini_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	char where[512];
	char copy[LINE_BYTES];
	const struct conf_line line = {
		.where = where,
		.section = section,
		.key = name,
		.value = copy,
		.continued = r->indented && !strcmp(r->section, section) &&
			     !strncmp(r->key, name, INIH_NAME_MAX),
	};

	if (r->error)
		return 0;
	snprintf(where, sizeof(where), "%s:%d", r->name, r->line);
	snprintf(copy, sizeof(copy), "%s", value);
	cut_comment(copy);
	snprintf(r->section, sizeof(r->section), "%s", section);
	snprintf(r->key, sizeof(r->key), "%s", name);
	if (!r->on_key(r->data, &line))
		r->error = CONF_FILE_E_STOPPED;
	return !r->error;
}

int conf_file_read(FILE *in, const char *name,
	bool (*on_key)(void *data, const struct conf_line *line), void *data, char *text,
	size_t cap)
{
	struct reader r = {
		.in = in, .name = name, .on_key = on_key, .data = data, .text = text, .cap = cap};
	int line = ini_parse_stream(read_line, &r, on_ini_key, &r);

	if (r.error)
		return r.error;
	if (ferror(in)) {
		snprintf(text, cap, "%s: cannot be read: %s", name, strerror(errno));
		return CONF_FILE_E_INVALID;
	}
	if (line) {
		r.line = line;
		fail(&r, "neither [section] nor key = value");
		return r.error;
	}
	return 0;
}
