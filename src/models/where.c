/* where.c: the file is read once more, for its lines. Daemon process, any thread. */
#include "models/where.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "models/conf_file.h"
#include "models/path.h"

struct search {
	const char *key; /* borrow */
	char *out;	 /* borrow */
	size_t cap;
};

static bool look_at(void *data, const struct conf_line *line)
{
	struct search *s = data;

	if (strcmp(line->section, "parameters") != 0 || strcmp(line->key, s->key) != 0)
		return true;
	snprintf(s->out, s->cap, "%s", line->where);
	return false;
}

static void search_conf(FILE *in, const char *file, struct search *s)
{
	char text[256];

	(void)!conf_file_read(in, file, look_at, s, text, sizeof(text));
}

/* Names of parameters are strings there. */
static void search_pbtxt(FILE *in, const char *file, struct search *s)
{
	_cleanup_(freep) char *line = NULL;
	char quoted[300];
	size_t room = 0;

	snprintf(quoted, sizeof(quoted), "\"%s\"", s->key);
	for (unsigned n = 1; getline(&line, &room, in) > 0; n++) {
		if (!strstr(line, quoted))
			continue;
		snprintf(s->out, s->cap, "%s:%u", file, n);
		return;
	}
}

static bool search(const char *directory, const char *name, struct search *s,
	void (*in_file)(FILE *in, const char *file, struct search *s))
{
	_cleanup_(freep) char *file = path_join(directory, name);
	FILE *in = file ? fopen(file, "re") : NULL;

	if (!in)
		return false;
	snprintf(s->out, s->cap, "%s", file);
	if (*s->key)
		in_file(in, file, s);
	fclose(in);
	return true;
}

void where_parameter(
	const struct models_settings *s, const char *model, const char *key, char *out, size_t cap)
{
	struct search wanted = {.key = key, .out = out, .cap = cap};

	*out = 0;
	for (size_t i = 0; s->repositories[i]; i++) {
		_cleanup_(freep) char *directory = path_join(s->repositories[i], model);

		if (directory && (search(directory, "model.conf", &wanted, search_conf) ||
					 search(directory, "config.pbtxt", &wanted, search_pbtxt)))
			return;
	}
}
