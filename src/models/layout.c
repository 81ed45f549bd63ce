/* layout.c: which versions a model's directory has. Daemon process, any thread. */
#include "models/layout.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "base/err.h"
#include "models/path.h"

#define MODEL_FILE "model.onnx"

int layout_add_odd(char **odd, const char *format, ...)
{
	_cleanup_(freep) char *sentence = NULL;
	char *both;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&sentence, format, ap);
	va_end(ap);
	if (n < 0) {
		sentence = NULL; /* it is undefined then */
		return -ENOMEM;
	}
	if (!*odd) {
		*odd = steal_ptr(sentence);
		return 0;
	}
	if (asprintf(&both, "%s; %s", *odd, sentence) < 0)
		return -ENOMEM;
	free(*odd);
	*odd = both;
	return 0;
}

/* "7", "07", "v7" -> 7; "0" -> 0. Returns whether it is a number at all. */
static bool parse_number(const char *name, uint64_t *ret_number)
{
	uint64_t n;

	if (*name == 'v')
		name++;
	if (decimal_parse(name, &n) || n > INT64_MAX)
		return false;
	*ret_number = n;
	return true;
}

static struct layout_version *find(const struct layout *l, uint64_t number)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->versions[i].number == number)
			return &l->versions[i];
	}
	return NULL;
}

static int add_version(struct layout *l, uint64_t number, const char *path)
{
	struct layout_version *same = find(l, number);
	struct layout_version *all;
	char *copy;

	if (same) {
		same->ambiguous = true;
		return layout_add_odd(&l->odd,
			"%s and %s are both version %llu: remove one of them", same->path, path,
			(unsigned long long)number);
	}
	all = realloc(l->versions, (l->n + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	l->versions = all;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	all[l->n++] = (struct layout_version){.number = number, .path = copy};
	return 0;
}

/* A directory that has a model and is not named by a number from 1. */
static int add_misnamed(struct layout *l, const char *path)
{
	l->has_files = true;
	return layout_add_odd(&l->odd,
		"%s is not served: a version's directory is named by its number, from 1: rename it",
		path);
}

static int look_at_directory(struct layout *l, const char *name, const char *path)
{
	uint64_t number;

	if (parse_number(name, &number) && number > 0)
		return add_version(l, number, path);
	return path_has(path, MODEL_FILE) ? add_misnamed(l, path) : 0;
}

static int look_at(struct layout *l, const char *directory, const char *name)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	uint64_t number;

	if (!path)
		return -ENOMEM;
	if (path_is_directory(path))
		return look_at_directory(l, name, path);
	if (!parse_number(name, &number))
		return 0;
	return layout_add_odd(&l->odd, "%s is not served: a version is a directory", path);
}

static int compare(const void *a, const void *b)
{
	const struct layout_version *left = a;
	const struct layout_version *right = b;

	return (left->number < right->number) - (left->number > right->number);
}

/* model.onnx in the model's directory itself. */
static int look_at_flat(struct layout *l, const char *directory)
{
	if (!path_has(directory, MODEL_FILE))
		return 0;
	l->has_files = true;
	if (l->n == 0)
		return add_version(l, 1, directory);
	return layout_add_odd(&l->odd,
		"%s/" MODEL_FILE
		" is not served, since there are directories of versions: move it into one",
		directory);
}

/* It cannot be listed. */
static int say_unreadable(struct layout *l, const char *directory, int error)
{
	if (err_is_shortage(error))
		return error;
	if (error == -ENOENT || error == -ENOTDIR)
		return 0;
	/* What is closed to us is no business of ours; a disk that fails may have had a model there. */
	l->has_files = error != -EACCES;
	return layout_add_odd(&l->odd, "%s cannot be read: %s", directory, err_str(error));
}

int layout_read(struct layout *l, const char *directory)
{
	DIR *d;
	struct dirent *e;
	int r = 0;

	*l = (struct layout){0};
	d = opendir(directory);
	if (!d)
		return say_unreadable(l, directory, -errno);
	while (!r && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			r = look_at(l, directory, e->d_name);
	}
	closedir(d);
	if (!r)
		r = look_at_flat(l, directory);
	if (l->n > 0)
		qsort(l->versions, l->n, sizeof(*l->versions), compare);
	return r;
}

void layout_release(struct layout *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->versions[i].path);
	free(l->versions);
	free(l->odd);
	*l = (struct layout){0};
}
