/*
 * config.c: reading the configuration. This file finds the key, keeps its text, and turns texts into
 * fields once all sources are read. Daemon process, before the loop starts.
 */
#include "config_private.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_environment.h"
#include "models/conf_file.h"

#define BACKEND_PREFIX "backend."
#define PRINT_COLUMNS  100u

/* What on_key() needs. */
struct reading {
	struct config *config; /* borrow */
	int error;
	char *text; /* borrow: a line for each that is wrong */
	size_t cap;
};

/* One more line, as far as there is room. */
static void add_line(char *text, size_t cap, const char *line)
{
	size_t n = strlen(text);

	snprintf(text + n, cap - n, "%s%s", n > 0 ? "\n" : "", line);
}

int config_init(struct config *c)
{
	struct config_store *s = calloc(1, sizeof(*s));

	memset(c, 0, sizeof(*c));
	if (!s)
		return -ENOMEM;
	c->store = s;
	s->entries = calloc(config_n_keys, sizeof(*s->entries));
	s->directory = strdup(".");
	if (!s->entries || !s->directory)
		goto fail;
	for (size_t i = 0; i < config_n_keys; i++) {
		s->entries[i].text = strdup(config_keys[i].value);
		if (!s->entries[i].text)
			goto fail;
	}
	return 0;
fail:
	config_release(c);
	return -ENOMEM;
}

static void release_entry(struct config_entry *e)
{
	free(e->text);
	free(e->where);
}

void config_release(struct config *c)
{
	struct config_store *s = c->store;

	if (!s)
		return;
	for (size_t i = 0; s->entries && i < config_n_keys; i++)
		release_entry(&s->entries[i]);
	for (size_t i = 0; i < s->n_backend; i++) {
		free(s->backend[i].where);
		free(s->backend[i].key);
		free(s->backend[i].value);
	}
	for (size_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i]);
	free(s->entries);
	free(s->backend);
	free(s->blocks);
	free(s->directory);
	free(s);
	memset(c, 0, sizeof(*c));
}

/* inih cuts longer section names. */
#define BACKEND_NAME_MAX 40u

static bool backend_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n && n <= BACKEND_NAME_MAX &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static bool setting_name_valid(const char *name)
{
	const char *at = name;

	while (isalnum((unsigned char)*at) || (*at && strchr("_-.", *at)))
		at++;
	return at > name && !*at;
}

static int invalid(const struct conf_line *l, const char *what, char *text, size_t cap)
{
	snprintf(text, cap, "%s: [%s] %s: %s", l->where, l->section, l->key, what);
	return CONFIG_E_INVALID;
}

static struct config_backend_setting *find_backend(struct config *c, const char *key)
{
	for (size_t i = 0; i < c->store->n_backend; i++) {
		if (!strcmp(c->store->backend[i].key, key))
			return &c->store->backend[i];
	}
	return NULL;
}

static int add_backend(struct config *c, char **key, char **value, char **where, bool from_file)
{
	struct config_store *s = c->store;
	struct config_backend_setting *all = realloc(s->backend, (s->n_backend + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	s->backend = all;
	all[s->n_backend++] = (struct config_backend_setting){.key = steal_ptr(*key),
		.value = steal_ptr(*value),
		.where = steal_ptr(*where),
		.from_file = from_file};
	return 0;
}

/* Set or replace a [backend.NAME] setting. Its keys are the backend's affair. */
static int set_backend(
	struct config *c, const struct conf_line *l, bool from_file, char *text, size_t cap)
{
	_cleanup_(freep) char *key =
		config_format("%s.%s", l->section + strlen(BACKEND_PREFIX), l->key);
	_cleanup_(freep) char *value = strdup(l->value);
	_cleanup_(freep) char *where = strdup(l->where);
	struct config_backend_setting *b = key ? find_backend(c, key) : NULL;

	if (!key || !value || !where)
		return -ENOMEM;
	if (l->continued)
		return invalid(l, "only a list may go on in an indented line", text, cap);
	if (!setting_name_valid(l->key))
		return invalid(
			l, "a setting's name has only letters, digits, _, - and .", text, cap);
	if (b && from_file && b->from_file)
		return invalid(l, "is set twice", text, cap);
	if (strlen(key) > WIRE_NAME_MAX || strlen(value) > WIRE_TEXT_MAX)
		return invalid(l, "is too long", text, cap);
	if (!b)
		return add_backend(c, &key, &value, &where, from_file);
	free(b->value);
	free(b->where);
	b->value = steal_ptr(value);
	b->where = steal_ptr(where);
	b->from_file |= from_file;
	return 0;
}

static bool is_list(const struct config_key *key)
{
	return key->type == CONFIG_LIST || key->type == CONFIG_PLACES;
}

/* Keep the text of one key. */
static int set_entry(struct config *c, size_t i, const struct conf_line *l, bool from_file,
	char *text, size_t cap)
{
	struct config_entry *e = &c->store->entries[i];
	_cleanup_(freep) char *value =
		l->continued ? config_format("%s, %s", e->text, l->value) : strdup(l->value);
	_cleanup_(freep) char *where = strdup(l->continued && e->where ? e->where : l->where);
	char message[256];
	int r;

	if (!value || !where)
		return -ENOMEM;
	if (l->continued && !is_list(&config_keys[i]))
		return invalid(l, "only a list may go on in an indented line", text, cap);
	if (from_file && e->from_file && !l->continued)
		return invalid(l, "is set twice", text, cap);
	r = config_store_value(c, &config_keys[i], value, message, sizeof(message));
	if (r)
		return r == CONFIG_E_INVALID ? invalid(l, message, text, cap) : r;
	release_entry(e);
	e->text = steal_ptr(value);
	e->where = steal_ptr(where);
	e->from_file |= from_file;
	e->from_command = !from_file;
	return 0;
}

static int set_plain(
	struct config *c, const struct conf_line *l, bool from_file, char *text, size_t cap)
{
	size_t i;

	if (!strncmp(l->section, BACKEND_PREFIX, strlen(BACKEND_PREFIX)) &&
		backend_name_valid(l->section + strlen(BACKEND_PREFIX)))
		return set_backend(c, l, from_file, text, cap);
	if (!config_find_key(l->section, l->key, &i)) {
		int n = snprintf(
			text, cap, "%s: unknown key [%s] %s", l->where, l->section, l->key);

		if (n > 0 && (size_t)n < cap)
			config_suggest(l->section, l->key, text + n, cap - (size_t)n);
		return CONFIG_E_INVALID;
	}
	return set_entry(c, i, l, from_file, text, cap);
}

/* With what the environment says for its variables. */
static int set_line(
	struct config *c, const struct conf_line *l, bool from_file, char *text, size_t cap)
{
	_cleanup_(freep) char *value = NULL;
	struct conf_line line = *l;
	char message[256];
	int r = config_environment_expand(l->value, &value, message, sizeof(message));

	line.value = value;
	if (r)
		return r == CONFIG_E_INVALID ? invalid(l, message, text, cap) : r;
	return set_plain(c, &line, from_file, text, cap);
}

/* Those that come after one that is wrong are looked at, too. */
static bool on_key(void *data, const struct conf_line *line)
{
	struct reading *r = data;
	char wrong[512];
	int e = set_line(r->config, line, true, wrong, sizeof(wrong));

	if (e == CONFIG_E_INVALID)
		add_line(r->text, r->cap, wrong);
	if (e)
		r->error = e;
	return !e || e == CONFIG_E_INVALID;
}

static int read_stream(struct config *c, const char *name, FILE *in, char *text, size_t cap)
{
	struct reading r = {.config = c, .text = text, .cap = cap};
	char wrong[512];
	int e;

	*text = '\0';
	e = conf_file_read(in, name, on_key, &r, wrong, sizeof(wrong));
	if (e == CONF_FILE_E_INVALID)
		add_line(text, cap, wrong);
	return e == CONF_FILE_E_INVALID ? CONFIG_E_INVALID : r.error;
}

int config_load_memory(
	struct config *c, const char *name, const char *data, size_t n, char *text, size_t cap)
{
	FILE *in = n ? fmemopen((void *)data, n, "r") : NULL;
	int r;

	if (!n)
		return 0;
	if (!in)
		return -ENOMEM;
	r = read_stream(c, name, in, text, cap);
	fclose(in);
	return r;
}

int config_load_file(struct config *c, const char *path, char *text, size_t cap)
{
	FILE *in = fopen(path, "re");
	const char *slash = strrchr(path, '/');
	char *directory;
	int r;

	if (!in) {
		snprintf(text, cap, "%s: cannot be opened: %s", path, strerror(errno));
		return CONFIG_E_INVALID;
	}
	directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	r = directory ? read_stream(c, path, in, text, cap) : -ENOMEM;
	fclose(in);
	if (directory) {
		free(c->store->directory);
		c->store->directory = directory;
	}
	return r;
}

int config_set(struct config *c, const char *assignment, char *text, size_t cap)
{
	const char *equals = strchr(assignment, '=');
	char section[128], where[256], *dot;
	size_t n = equals ? (size_t)(equals - assignment) : 0;
	struct conf_line line = {.where = where, .section = section};
	const char *unfit;

	snprintf(where, sizeof(where), "--set %.*s", (int)n, assignment);
	if (n && n < sizeof(section)) {
		memcpy(section, assignment, n);
		section[n] = 0;
	}
	dot = n && n < sizeof(section) ? strrchr(section, '.') : NULL;
	if (!dot || dot == section || !dot[1]) {
		snprintf(text, cap, "--set %s: expected section.key=value", assignment);
		return CONFIG_E_INVALID;
	}
	*dot = 0;
	line.key = dot + 1;
	line.value = equals + 1;
	unfit = config_unfit_for_file(line.value);
	return unfit ? invalid(&line, unfit, text, cap) : set_line(c, &line, false, text, cap);
}

/* Keys that nobody set have their default's text but no field yet. */
static int store_all(struct config *c, char *text, size_t cap)
{
	for (size_t i = 0; i < config_n_keys; i++) {
		const struct config_key *key = &config_keys[i];
		char message[256];
		int r = config_store_value(
			c, key, c->store->entries[i].text, message, sizeof(message));

		if (r == CONFIG_E_INVALID)
			snprintf(text, cap, "[%s] %s: %s", key->section, key->name, message);
		if (r)
			return r;
	}
	return 0;
}

int config_finish(struct config *c, char *text, size_t cap)
{
	int r = store_all(c, text, cap);

	if (!r)
		r = config_resolve(c, text, cap);
	if (r == CONFIG_E_INVALID)
		config_locate(c, text, cap);
	return r;
}

/* A list goes on in indented lines where one would be too long for a file. */
static void print_list(const char *text, FILE *out)
{
	size_t column = 0;

	for (const char *at = text; *at; at += strspn(at, ", \t")) {
		size_t whole = strcspn(at, ",");
		size_t n = whole;

		while (n > 0 && isspace((unsigned char)at[n - 1]))
			n--;
		if (column > 0)
			fputs(column + n > PRINT_COLUMNS ? "\n\t" : ", ", out);
		column = column + n > PRINT_COLUMNS ? n : column + n + 2;
		fprintf(out, "%.*s", (int)n, at);
		at += whole;
	}
	fputc('\n', out);
}

void config_print(const struct config *c, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < config_n_keys; i++) {
		const char *text = c->store->entries[i].text;

		if (strcmp(section, config_keys[i].section)) {
			fprintf(out, "%s[%s]\n", *section ? "\n" : "", config_keys[i].section);
			section = config_keys[i].section;
		}
		fprintf(out, "%s = ", config_keys[i].name);
		if (is_list(&config_keys[i]))
			print_list(text, out);
		else
			fprintf(out, "%s\n", text);
	}
	for (size_t i = 0; i < c->store->n_backend; i++) {
		const char *key = c->store->backend[i].key, *dot = strchr(key, '.');

		fprintf(out, "\n[%s%.*s]\n%s = %s\n", BACKEND_PREFIX, (int)(dot - key), key,
			dot + 1, c->store->backend[i].value);
	}
}
