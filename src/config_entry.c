/* config_entry.c: keys, and their texts, by name. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_private.h"

bool config_find_key(const char *section, const char *name, size_t *ret_i)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		if (!strcmp(config_keys[i].section, section) &&
			!strcmp(config_keys[i].name, name)) {
			*ret_i = i;
			return true;
		}
	}
	return false;
}

struct config_entry *config_entry(const struct config *c, const char *section, const char *name)
{
	size_t i = 0;
	bool found = config_find_key(section, name, &i);

	assert(found);
	(void)found;
	return &c->store->entries[i];
}

const char *config_where(const struct config *c, const char *section, const char *name)
{
	return c->store ? config_entry(c, section, name)->where : NULL;
}

/* Where "[section] key", which are n and n_key bytes, was set; NULL: nowhere. */
static const char *find_where(
	const struct config *c, const char *section, size_t n, const char *key, size_t n_key)
{
	const struct config_store *s = c->store;
	size_t prefix = strlen("backend.");

	for (size_t i = 0; i < config_n_keys; i++) {
		if (!strncmp(config_keys[i].section, section, n) && !config_keys[i].section[n] &&
			!strncmp(config_keys[i].name, key, n_key) && !config_keys[i].name[n_key])
			return s->entries[i].where;
	}
	for (size_t i = 0; n > prefix && i < s->n_backend; i++) {
		const char *set = s->backend[i].key;

		if (!strncmp(set, section + prefix, n - prefix) && set[n - prefix] == '.' &&
			!strncmp(set + n - prefix + 1, key, n_key) && !set[n - prefix + 1 + n_key])
			return s->backend[i].where;
	}
	return NULL;
}

void config_locate(const struct config *c, char *text, size_t cap)
{
	const char *end = *text == '[' ? strstr(text, "] ") : NULL;
	_cleanup_(freep) char *copy = NULL;
	const char *where;

	if (!end)
		return;
	where = find_where(c, text + 1, (size_t)(end - text) - 1, end + 2, strcspn(end + 2, ": "));
	copy = where ? strdup(text) : NULL;
	if (copy)
		snprintf(text, cap, "%s: %s", where, copy);
}

int config_show(struct config *c, const char *section, const char *name, const char *text)
{
	struct config_entry *e = config_entry(c, section, name);
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(e->text);
	e->text = copy;
	return 0;
}
