/* entry.c: an entry of the snapshot, and what is shown of it. Daemon process, any thread. */
#include "models/entry.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void entry_make_printable(char *text)
{
	bool valid = utf8_valid(text, strlen(text));

	for (char *at = text; *at; at++) {
		unsigned char c = (unsigned char)*at;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid))
			*at = '?';
	}
}

static void drop_versions(struct repository_entry *e)
{
	for (size_t i = 0; i < e->n_versions; i++)
		version_settings_release(&e->versions[i].settings);
	free(e->versions);
	e->versions = NULL;
	e->n_versions = 0;
}

void entry_release(struct repository_entry *e)
{
	drop_versions(e);
	free((void *)e->name);
	free((void *)e->error);
	free((void *)e->odd);
	*e = (struct repository_entry){0};
}

int entry_set_name(struct repository_entry *e, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	entry_make_printable(copy);
	free((void *)e->name);
	e->name = copy;
	return 0;
}

int entry_refuse(struct repository_entry *e, const char *format, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	entry_make_printable(text);
	free((void *)e->error);
	e->error = text;
	drop_versions(e);
	return 0;
}
