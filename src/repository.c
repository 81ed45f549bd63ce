/*
 * repository.c: directories into model settings. Daemon process, any thread. Paths stay
 * below the repository: names are checked, links are followed as the administrator made them.
 */
#include "repository.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model_conf.h"

/* So deep are version directories looked into for changes. */
#define CONTENT_DEPTH_MAX 8u

struct repository {
	struct version_settings *models; /* own; strings in it are owned too */
	size_t n;
	size_t cap;
	struct repository_error *errors; /* own, and their strings */
	size_t n_errors;
};

struct repository *repository_free(struct repository *r)
{
	if (!r)
		return NULL;
	for (size_t i = 0; i < r->n; i++)
		version_settings_release(&r->models[i]);
	for (size_t i = 0; i < r->n_errors; i++) {
		free((void *)r->errors[i].name);
		free((void *)r->errors[i].text);
	}
	free(r->models);
	free(r->errors);
	free(r);
	return NULL;
}

const struct version_settings *repository_models(const struct repository *r, size_t *ret_n)
{
	*ret_n = r->n;
	return r->models;
}

const struct repository_error *repository_errors(const struct repository *r, size_t *ret_n)
{
	*ret_n = r->n_errors;
	return r->errors;
}

static int add_error(struct repository *r, const char *name, const char *text)
{
	struct repository_error *all = realloc(r->errors, (r->n_errors + 1) * sizeof(*all));
	struct repository_error *e;

	if (!all)
		return -ENOMEM;
	r->errors = all;
	e = &all[r->n_errors++];
	e->name = strdup(name);
	e->text = strdup(text);
	return e->name && e->text ? 0 : -ENOMEM;
}

/* asprintf() that gives NULL when it fails. */
static char *path_join(const char *directory, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

/* The highest numbered directory; 0 where there is none. */
static uint64_t highest_version(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	uint64_t best = 0, n;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (model_conf_version(e->d_name, &n) && n > best)
			best = n;
	}
	closedir(d);
	return best;
}

/* Which version, where model.conf names none: the highest. */
static int choose_version(struct version_settings *m, const char *directory)
{
	uint64_t best = m->version ? 0 : highest_version(directory);
	char digits[24];

	if (m->version)
		return 0;
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)(best ? best : 1));
	return model_conf_replace(&m->version, digits);
}

/* Which backend, where model.conf names none: that of the file there is. */
static int choose_backend(struct version_settings *m)
{
	_cleanup_(freep) char *onnx = path_join(m->path, "model.onnx");

	if (!onnx)
		return -ENOMEM;
	if (m->backend || access(onnx, F_OK))
		return 0;
	return model_conf_replace(&m->backend, "onnxruntime");
}

/* FNV-1a */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t content_of(const char *directory, unsigned depth);

/* What tells one state of a file from another, without reading it. */
static uint64_t content_of_entry(const char *directory, const char *name, unsigned depth)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	struct stat st;

	if (!path || stat(path, &st))
		return 0;
	hash = hash_bytes(hash, name, strlen(name));
	if (S_ISDIR(st.st_mode))
		return hash + (depth < CONTENT_DEPTH_MAX ? content_of(path, depth + 1) : 0);
	hash = hash_bytes(hash, &st.st_dev, sizeof(st.st_dev));
	hash = hash_bytes(hash, &st.st_ino, sizeof(st.st_ino));
	hash = hash_bytes(hash, &st.st_size, sizeof(st.st_size));
	return hash_bytes(hash, &st.st_mtim, sizeof(st.st_mtim));
}

/* A sum, so that the order of names does not count. */
static uint64_t content_of(const char *directory, unsigned depth)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	uint64_t sum = 1;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			sum += content_of_entry(directory, e->d_name, depth);
	}
	closedir(d);
	return sum;
}

/* Find the version's directory, and the backend. */
static int resolve_version(
	struct version_settings *m, const char *directory, char *text, size_t cap)
{
	struct stat st;

	if (choose_version(m, directory))
		return -ENOMEM;
	m->path = path_join(directory, m->version);
	if (!m->path || choose_backend(m))
		return -ENOMEM;
	if (!m->backend) {
		snprintf(text, cap, "%s: no model.conf that names a backend, and no %s/model.onnx",
			directory, m->version);
		return CONFIG_E_INVALID;
	}
	if (strlen(m->path) > WIRE_TEXT_MAX) {
		snprintf(text, cap, "%s: the path is longer than %u characters", directory,
			WIRE_TEXT_MAX);
		return CONFIG_E_INVALID;
	}
	if (!stat(m->path, &st) && S_ISDIR(st.st_mode)) {
		m->content = content_of(m->path, 0);
		return 0;
	}
	if (strcmp(m->backend, "builtin")) {
		snprintf(text, cap, "%s: there is no version directory %s", directory, m->version);
		return CONFIG_E_INVALID;
	}
	return model_conf_replace(&m->path, directory);
}

/* Is one of the model's devices among the workers'? */
static bool has_device(const struct version_settings *m, const struct config *c)
{
	for (size_t i = 0; i < c->pool.n_places; i++) {
		const char *device = c->pool.places[i].device;
		size_t n = strlen(device);

		for (const char *at = m->devices; (at = strstr(at, device)); at += n) {
			if ((at == m->devices || at[-1] == ',') && (!at[n] || at[n] == ','))
				return true;
		}
	}
	return false;
}

static int check_devices(const struct version_settings *m, const struct config *c,
	const char *directory, char *text, size_t cap)
{
	if (!m->devices || has_device(m, c))
		return 0;
	snprintf(text, cap,
		"%s/model.conf: [model] devices: there is no worker on any of '%s' ([worker] "
		"workers)",
		directory, m->devices);
	return CONFIG_E_INVALID;
}

static bool model_name_valid(const char *name)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strlen(name);

	return *name != '.' && n && n <= WIRE_NAME_MAX && strspn(name, allowed) == n;
}

/* Does [models] serve have this word? */
static bool serves(const struct config *c, const char *word)
{
	for (size_t i = 0; c->models[i]; i++) {
		if (!strcmp(c->models[i], word))
			return true;
	}
	return false;
}

/* A directory with neither a model.conf nor a version in it is something else. */
static bool looks_like_model(const char *directory)
{
	_cleanup_(freep) char *file = path_join(directory, "model.conf");

	return !file || !access(file, F_OK) || highest_version(directory) > 0;
}

static int read_model(struct version_settings *m, const struct config *c, const char *name,
	char *text, size_t cap)
{
	_cleanup_(freep) char *directory = path_join(c->model_repository, name);
	_cleanup_(freep) char *file = directory ? path_join(directory, "model.conf") : NULL;
	int error;

	if (!file || model_conf_replace(&m->name, name))
		return -ENOMEM;
	error = model_conf_read(file, m, text, cap);
	if (!error)
		error = resolve_version(m, directory, text, cap);
	return error ? error : check_devices(m, c, directory, text, cap);
}

static int grow(struct repository *r)
{
	struct version_settings *all;

	if (r->n < r->cap)
		return 0;
	all = realloc(r->models, (r->cap + 16) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	r->models = all;
	r->cap += 16;
	return 0;
}

static int add_model(
	struct repository *r, const struct config *c, const char *name, char *text, size_t cap)
{
	struct version_settings m = {
		.max_batch_size = UINT32_MAX,
		.max_queue_delay_us = c->model.max_queue_delay_us,
		.max_queue_size = c->model.max_queue_size,
		.run_timeout_ms = c->model.run_timeout_ms,
	};
	int error = grow(r);

	if (!error)
		error = read_model(&m, c, name, text, cap);
	if (error) {
		version_settings_release(&m);
		return error;
	}
	r->models[r->n++] = m;
	return 0;
}

static int compare_models(const void *a, const void *b)
{
	return strcmp(((const struct version_settings *)a)->name,
		((const struct version_settings *)b)->name);
}

/* A model to be served: named, or one of all that there are. */
static bool is_wanted(const struct config *c, DIR *d, const char *name)
{
	_cleanup_(freep) char *directory = NULL;
	struct stat st;

	if (name[0] == '.' || fstatat(dirfd(d), name, &st, 0) || !S_ISDIR(st.st_mode))
		return false;
	if (serves(c, name) || !serves(c, "*"))
		return serves(c, name);
	directory = path_join(c->model_repository, name);
	return !directory || looks_like_model(directory);
}

static int add_entry(
	struct repository *r, const struct config *c, const char *name, char *text, size_t cap)
{
	if (model_name_valid(name))
		return add_model(r, c, name, text, cap);
	snprintf(text, cap,
		"%s/%s: a model's name has only letters, digits, _, . and -, at most %u",
		c->model_repository, name, WIRE_NAME_MAX);
	return CONFIG_E_INVALID;
}

static int scan(struct repository *r, const struct config *c, DIR *d, char *text, size_t cap)
{
	struct dirent *e;
	int error = 0;

	while (!error && (e = readdir(d))) {
		if (!is_wanted(c, d, e->d_name))
			continue;
		error = add_entry(r, c, e->d_name, text, cap);
		if (error == CONFIG_E_INVALID)
			error = add_error(r, e->d_name, text);
	}
	return error;
}

/* Or one that is wrong. */
static bool has_model(const struct repository *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!strcmp(r->models[i].name, name))
			return true;
	}
	for (size_t i = 0; i < r->n_errors; i++) {
		if (!strcmp(r->errors[i].name, name))
			return true;
	}
	return false;
}

/* Every name that the configuration mentions exists. */
static int check_names(const struct repository *r, const struct config *c, char *text, size_t cap)
{
	const char *name = c->dispatch.default_model;

	for (size_t i = 0; c->models[i]; i++) {
		if (strcmp(c->models[i], "*") && !has_model(r, c->models[i])) {
			snprintf(text, cap, "[models] serve: there is no model '%s' in %s",
				c->models[i], c->model_repository);
			return CONFIG_E_INVALID;
		}
	}
	if (name && *name && !has_model(r, name)) {
		snprintf(text, cap, "[models] default: model '%s' is not served", name);
		return CONFIG_E_INVALID;
	}
	if (r->n == 0 && r->n_errors == 0) {
		snprintf(text, cap, "[models] repository: there is no model in %s",
			c->model_repository);
		return CONFIG_E_INVALID;
	}
	return 0;
}

int repository_read(
	struct repository **ret_repository, const struct config *config, char *text, size_t cap)
{
	_cleanup_(repository_freep) struct repository *r = calloc(1, sizeof(*r));
	DIR *d;
	int error;

	if (!r)
		return -ENOMEM;
	d = opendir(config->model_repository);
	if (!d) {
		snprintf(text, cap, "[models] repository: %s: %s", config->model_repository,
			strerror(errno));
		return CONFIG_E_INVALID;
	}
	error = scan(r, config, d, text, cap);
	closedir(d);
	if (!error)
		error = check_names(r, config, text, cap);
	if (error)
		return error;
	if (r->n > 0)
		qsort(r->models, r->n, sizeof(*r->models), compare_models);
	*ret_repository = steal_ptr(r);
	return 0;
}

int repository_new(
	struct repository **ret_repository, const struct config *config, char *text, size_t cap)
{
	_cleanup_(repository_freep) struct repository *r = NULL;
	int error = repository_read(&r, config, text, cap);

	if (error)
		return error;
	if (r->n_errors > 0) {
		snprintf(text, cap, "%s", r->errors[0].text);
		return CONFIG_E_INVALID;
	}
	*ret_repository = steal_ptr(r);
	return 0;
}
