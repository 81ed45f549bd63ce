/*
 * config_backends.c: sections [backend.NAME] of backends that are nowhere: misspelt, or not installed. Nobody else would
 * notice, since only a backend that is loaded knows its settings.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config_private.h"

/* The worker's own. */
#define BUILTIN "builtin"

static bool same(const char *name, const char *text, size_t n)
{
	return !strncmp(name, text, n) && !name[n];
}

static bool has_program(const struct config *c, const char *name, size_t n)
{
	for (size_t i = 0; i < c->pool.n_programs; i++) {
		if (same(c->pool.programs[i].backend, name, n))
			return true;
	}
	return false;
}

static bool has_library(const struct config *c, const char *name, size_t n)
{
	char path[4096];

	for (size_t i = 0; c->pool.backend_dirs && c->pool.backend_dirs[i]; i++) {
		int length = snprintf(
			path, sizeof(path), "%s/%.*s.so", c->pool.backend_dirs[i], (int)n, name);

		if (length > 0 && (size_t)length < sizeof(path) && !access(path, F_OK))
			return true;
	}
	return false;
}

/* Does an earlier setting belong to the same backend? */
static bool is_known(const struct config_store *s, size_t at, size_t n)
{
	for (size_t i = 0; i < at; i++) {
		if (!strncmp(s->backend[i].key, s->backend[at].key, n + 1))
			return true;
	}
	return false;
}

bool config_has_backend(const struct config *c, const char *name, size_t n)
{
	return same(BUILTIN, name, n) || has_program(c, name, n) || has_library(c, name, n);
}

const char *config_where_setting(const struct config *c, const char *backend, const char *key)
{
	size_t n = strlen(backend);

	for (size_t i = 0; c->store && i < c->store->n_backend; i++) {
		const struct config_backend_setting *b = &c->store->backend[i];

		if (!strncmp(b->key, backend, n) && b->key[n] == '.' &&
			!strcmp(b->key + n + 1, key))
			return b->where;
	}
	return NULL;
}

bool config_next_missing_backend(
	const struct config *c, size_t *at, struct missing_backend *ret_missing)
{
	const struct config_store *s = c->store;

	while (*at < s->n_backend) {
		const struct config_backend_setting *b = &s->backend[*at];
		size_t n = strcspn(b->key, ".");
		bool known = is_known(s, *at, n);

		++*at;
		if (known || config_has_backend(c, b->key, n))
			continue;
		*ret_missing = (struct missing_backend){b->key, (int)n, b->where};
		return true;
	}
	return false;
}
