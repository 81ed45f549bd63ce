/* config_suggest.c: which key is meant by one that there is not. Daemon process, any thread. */
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "config_private.h"

/* Of words of this length so many letters may be wrong. */
static size_t tolerance(const char *word)
{
	return strlen(word) < 6 ? 1 : 2;
}

/* The nearest key of the section that is near enough; NULL: there is none. */
static const struct config_key *near_key(const char *section, const char *key)
{
	const struct config_key *best = NULL;
	size_t least = tolerance(key) + 1;

	for (size_t i = 0; i < config_n_keys; i++) {
		size_t d;

		if (strcmp(config_keys[i].section, section) != 0)
			continue;
		d = near_distance(config_keys[i].name, key);
		if (d < least) {
			best = &config_keys[i];
			least = d;
		}
	}
	return best;
}

/* Of another section, where the key has its name. */
static const struct config_key *same_key(const char *key)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		if (!strcmp(config_keys[i].name, key))
			return &config_keys[i];
	}
	return NULL;
}

void config_suggest(const char *section, const char *key, char *text, size_t cap)
{
	const struct config_key *k = near_key(section, key);

	*text = 0;
	if (!k)
		k = same_key(key);
	if (k)
		snprintf(text, cap, " (is [%s] %s meant?)", k->section, k->name);
	else if (!*section)
		snprintf(text, cap, " (it stands before the first [section])");
}
