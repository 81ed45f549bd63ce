/* config_changes.c: what differs between two readings of the configuration and is not applied by a reload. Any thread. */
#include <stdio.h>
#include <string.h>

#include "config_private.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct names {
	char *text; /* borrow: separated by commas, as many as there is room for */
	size_t cap;
	size_t n;
};

/* Models are read anew by what these say (models_source.c). */
static bool is_applied(const struct config_key *key)
{
	static const char *const names[] = {"repository", "serve", "default", "isolation"};

	if (!strcmp(key->section, "model"))
		return true;
	for (size_t i = 0; !strcmp(key->section, "models") && i < COUNT_OF(names); i++) {
		if (!strcmp(key->name, names[i]))
			return true;
	}
	return false;
}

static void add_name(struct names *s, const char *section, const char *name)
{
	size_t at = strlen(s->text);

	snprintf(s->text + at, s->cap - at, "%s[%s] %s", s->n++ > 0 ? ", " : "", section, name);
}

static void add_backend_name(struct names *s, const struct config_backend_setting *b)
{
	const char *dot = strchr(b->key, '.');
	char section[256];

	snprintf(section, sizeof(section), "backend.%.*s", (int)(dot - b->key), b->key);
	add_name(s, section, dot + 1);
}

static const char *backend_value(const struct config *c, const char *key)
{
	for (size_t i = 0; i < c->store->n_backend; i++) {
		if (!strcmp(c->store->backend[i].key, key))
			return c->store->backend[i].value;
	}
	return NULL;
}

/* Those of b that a has not, or otherwise. */
static void compare_backends(const struct config *a, const struct config *b, struct names *s)
{
	for (size_t i = 0; i < b->store->n_backend; i++) {
		const struct config_backend_setting *x = &b->store->backend[i];
		const char *before = backend_value(a, x->key);

		if (!before || strcmp(before, x->value) != 0)
			add_backend_name(s, x);
	}
}

/* Those of a that b has not. */
static void find_gone(const struct config *a, const struct config *b, struct names *s)
{
	for (size_t i = 0; i < a->store->n_backend; i++) {
		if (!backend_value(b, a->store->backend[i].key))
			add_backend_name(s, &a->store->backend[i]);
	}
}

size_t config_need_restart(
	const struct config *before, const struct config *now, char *text, size_t cap)
{
	struct names s = {.text = text, .cap = cap};

	*text = 0;
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct config_key *key = &config_keys[i];

		if (!is_applied(key) &&
			strcmp(before->store->entries[i].text, now->store->entries[i].text) != 0)
			add_name(&s, key->section, key->name);
	}
	compare_backends(before, now, &s);
	find_gone(before, now, &s);
	return s.n;
}
