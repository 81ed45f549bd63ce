/* config_entry.c: keys, and their texts, by name. */
#include <assert.h>
#include <errno.h>
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
