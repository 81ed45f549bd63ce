/* repository.c: the directories of all repositories into one snapshot. Daemon process, any thread. */
#include "models/repository.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spool.h"
#include "models/entry.h"
#include "models/overlay.h"
#include "models/overlay_files.h"
#include "models/path.h"

#define FILE_SUFFIX ".onnx"

struct repository {
	const struct overlays *overlays;  /* borrow, while it is read; NULL: none */
	struct repository_entry *entries; /* own; by name */
	size_t n;
	size_t cap;
	char *default_model; /* own */
};

struct repository *repository_free(struct repository *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		entry_release(&r->entries[i]);
	free(r->entries);
	free(r->default_model);
	free(r);
	return NULL;
}

const struct repository_entry *repository_entries(const struct repository *r, size_t *ret_n)
{
	*ret_n = r->n;
	return r->entries;
}

void repository_set_applied(struct repository *r, size_t i)
{
	r->entries[i].applied = true;
}

void repository_let_files_go(struct repository *r)
{
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = 0; k < r->entries[i].n_versions; k++) {
			struct version_settings *s = &r->entries[i].versions[k].settings;

			s->files = spool_dir_unref(s->files);
		}
	}
}

const char *repository_default_model(const struct repository *r)
{
	return r->default_model;
}

size_t repository_n_wrong(const struct repository *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->entries[i].error != NULL;
	return n;
}

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct repository_entry *)element)->name);
}

const struct repository_entry *repository_find(const struct repository *r, const char *name)
{
	return r->n ? bsearch(name, r->entries, r->n, sizeof(*r->entries), compare_name) : NULL;
}

/* A zeroed entry at the end; NULL: no memory. */
static struct repository_entry *add(struct repository *r)
{
	struct repository_entry *all = r->entries;

	if (r->n == r->cap) {
		all = realloc(all, (r->cap * 2 + 16) * sizeof(*all));
		if (!all)
			return NULL;
		r->entries = all;
		r->cap = r->cap * 2 + 16;
	}
	all[r->n] = (struct repository_entry){0};
	return &all[r->n++];
}

/* --- One repository ----------------------------------------------------------------------------- */

/* Does [models] serve have this word? */
static bool serves(const struct models_settings *s, const char *word)
{
	for (size_t i = 0; s->serve[i]; i++) {
		if (!strcmp(s->serve[i], word))
			return true;
	}
	return false;
}

static int add_model(struct repository *r, const struct models_settings *s, const char *directory,
	const char *name)
{
	struct repository_entry *e = add(r);

	return e ? entry_read(e, s, overlays_find(r->overlays, name), directory, name) : -ENOMEM;
}

/* NAME.onnx beside the models' directories. */
static int add_stray_file(struct repository *r, const struct models_settings *s,
	const char *directory, const char *file)
{
	_cleanup_(freep) char *name = strdup(file);
	struct repository_entry *e;
	int error;

	if (!name)
		return -ENOMEM;
	name[strlen(name) - strlen(FILE_SUFFIX)] = 0;
	if (!*name || (!serves(s, "*") && !serves(s, name)) || path_has(directory, name))
		return 0;
	e = add(r);
	if (!e)
		return -ENOMEM;
	error = entry_set_name(e, name);
	return error ? error
		     : entry_refuse(e,
			       "%s/%s: a model is a directory: move the file to %s/1/model.onnx",
			       directory, file, name);
}

static bool has_suffix(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(FILE_SUFFIX) && !strcmp(name + n - strlen(FILE_SUFFIX), FILE_SUFFIX);
}

static int look_at(struct repository *r, const struct models_settings *s, const char *directory,
	const char *name)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	bool wanted = true;
	int error = 0;

	if (!path)
		return -ENOMEM;
	if (!path_is_directory(path))
		return has_suffix(name) ? add_stray_file(r, s, directory, name) : 0;
	if (!serves(s, name)) {
		if (!serves(s, "*"))
			return 0;
		error = entry_looks_like_model(directory, name, &wanted);
	}
	return error || !wanted ? error : add_model(r, s, directory, name);
}

static int unreadable(const char *directory, char *text, size_t cap)
{
	snprintf(text, cap, "[models] repository: %s: %s", directory, strerror(errno));
	return REPOSITORY_E_UNREADABLE;
}

static int scan(struct repository *r, const struct models_settings *s, const char *directory,
	char *text, size_t cap)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	int error = 0;

	if (!d)
		return unreadable(directory, text, cap);
	for (errno = 0; !error && (e = readdir(d)); errno = 0) {
		if (e->d_name[0] != '.')
			error = look_at(r, s, directory, e->d_name);
	}
	/* What it has not told of is not gone. */
	if (!error && errno)
		error = unreadable(directory, text, cap);
	closedir(d);
	return error;
}

/* --- All of them -------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct repository_entry *)a)->name,
		((const struct repository_entry *)b)->name);
}

/* "'a', 'b'": the repositories that have this directory; the caller frees it. */
static char *owners(const struct models_settings *s, const char *name)
{
	char *text = strdup("");

	for (size_t i = 0; text && s->repositories[i]; i++) {
		char *longer;

		if (!path_has(s->repositories[i], name))
			continue;
		if (asprintf(&longer, "%s%s'%s'", text, *text ? ", " : "", s->repositories[i]) < 0)
			longer = NULL;
		free(text);
		text = longer;
	}
	return text;
}

/* Entries of one name become one, which says where they all are. */
static int merge(const struct models_settings *s, struct repository_entry *kept,
	struct repository_entry *other)
{
	_cleanup_(freep) char *where = owners(s, kept->name);

	entry_release(other);
	return where ? entry_refuse(kept,
			       "model '%s' is in several repositories: %s: names must differ",
			       kept->name, where)
		     : -ENOMEM;
}

static int sort(struct repository *r, const struct models_settings *s)
{
	size_t n = 0;
	int error = 0;

	if (r->n == 0)
		return 0;
	qsort(r->entries, r->n, sizeof(*r->entries), compare_entries);
	for (size_t i = 0; i < r->n; i++) {
		if (n > 0 && !strcmp(r->entries[n - 1].name, r->entries[i].name)) {
			int e = merge(s, &r->entries[n - 1], &r->entries[i]);

			error = error ? error : e;
			continue;
		}
		r->entries[n++] = r->entries[i];
	}
	r->n = n;
	return error;
}

/* Among the first n_sorted entries, which are sorted, or the others? */
static bool is_listed(const struct repository *r, size_t n_sorted, const char *name)
{
	struct repository sorted = {.entries = r->entries, .n = n_sorted};

	for (size_t i = n_sorted; i < r->n; i++) {
		if (!strcmp(r->entries[i].name, name))
			return true;
	}
	return repository_find(&sorted, name) != NULL;
}

/* Models whose files callers brought, and that no repository has. */
static int add_brought(struct repository *r, const struct models_settings *s)
{
	size_t n_found = r->n;
	int error = 0;

	for (size_t i = 0; r->overlays && i < r->overlays->n && !error; i++) {
		const struct overlay_of *o = &r->overlays->list[i];

		if (overlay_files(o->overlay) && !is_listed(r, n_found, o->model))
			error = add_model(r, s, "", o->model);
	}
	return error ? error : sort(r, s);
}

/* Names in [models] serve that nothing has. */
static int add_missing(struct repository *r, const struct models_settings *s)
{
	size_t n_found = r->n;

	for (size_t i = 0; s->serve[i]; i++) {
		struct repository_entry *e;
		int error;

		if (!strcmp(s->serve[i], "*") || is_listed(r, n_found, s->serve[i]))
			continue;
		e = add(r);
		error = e ? entry_set_name(e, s->serve[i]) : -ENOMEM;
		if (!error)
			error = entry_refuse(e, "[models] serve: there is no model '%s' in %s%s",
				s->serve[i], s->repositories[0],
				s->repositories[1] ? " and the other repositories" : "");
		if (error)
			return error;
	}
	return sort(r, s);
}

/* Without entries; NULL: no memory. */
static struct repository *make(
	const struct models_settings *settings, const struct overlays *overlays)
{
	struct repository *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->overlays = overlays;
	r->default_model = strdup(settings->default_model ? settings->default_model : "");
	return r->default_model ? r : repository_free(r);
}

/* What was borrowed is given back. */
static struct repository *finish(struct repository *r)
{
	r->overlays = NULL;
	return r;
}

int repository_read(struct repository **ret_repository, const struct models_settings *settings,
	const struct overlays *overlays, char *text, size_t cap)
{
	_cleanup_(repository_freep) struct repository *r = make(settings, overlays);
	int error = r ? 0 : -ENOMEM;

	for (size_t i = 0; !error && settings->repositories[i]; i++)
		error = scan(r, settings, settings->repositories[i], text, cap);
	if (!error)
		error = sort(r, settings);
	if (!error)
		error = add_brought(r, settings);
	if (!error)
		error = add_missing(r, settings);
	if (!error)
		*ret_repository = finish(steal_ptr(r));
	return error;
}

int repository_read_model(struct repository **ret_repository,
	const struct models_settings *settings, const struct overlays *overlays, const char *name,
	char *text, size_t cap)
{
	_cleanup_(repository_freep) struct repository *r = make(settings, overlays);
	bool named = *name && *name != '.' && !strchr(name, '/');
	bool brought = overlay_files(overlays_find(overlays, name)) != NULL;
	int error = r ? 0 : -ENOMEM;

	if (!error && named && brought && (serves(settings, "*") || serves(settings, name)))
		error = add_model(r, settings, "", name);

	for (size_t i = 0; !error && named && !brought && settings->repositories[i]; i++) {
		if (!path_is_directory(settings->repositories[i]))
			error = unreadable(settings->repositories[i], text, cap);
		else if (path_has(settings->repositories[i], name))
			error = look_at(r, settings, settings->repositories[i], name);
	}
	if (!error)
		error = sort(r, settings);
	if (!error)
		*ret_repository = finish(steal_ptr(r));
	return error;
}
