/*
 * entry_read.c: one model's directory into an entry of the snapshot. Paths stay below the repository: names are
 * checked, links are followed as the administrator made them. Daemon process, any thread.
 */
#include "models/entry.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/comma_list.h"
#include "base/err.h"
#include "base/spool.h"
#include "models/fingerprint.h"
#include "models/layout.h"
#include "models/model_conf.h"
#include "models/model_pbtxt.h"
#include "models/overlay.h"
#include "models/overlay_files.h"
#include "models/path.h"
#include "models/warmup_rules.h"
#include "pool/pool.h"

#define CONF_FILE   "model.conf"
#define PBTXT_FILE  "config.pbtxt"
#define MODEL_FILE  "model.onnx"
#define ONNX	    "onnxruntime"
#define PYTHON_FILE "model.py"
#define PYTHON	    "python"
#define BUILTIN	    "builtin"

/* What is at hand while a model's directory is read. */
struct reading {
	struct repository_entry *entry;		/* borrow */
	const struct models_settings *settings; /* borrow */
	const struct overlay *overlay;		/* borrow; NULL: there is none */
	char *directory;			/* own: of the model */
	struct model_conf conf;
	bool devices_given; /* by overlay */
	bool is_pbtxt;	    /* that came from config.pbtxt */
	char *ignored;	    /* own; what of it does nothing here; NULL: all does something */
	struct layout layout;
	size_t n_usable; /* versions so far that could be served */
};

static bool name_valid(const char *name)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strlen(name);

	return *name != '.' && n && n <= WIRE_NAME_MAX && strspn(name, allowed) == n;
}

/* --- Versions ----------------------------------------------------------------------------------- */

/* The one file NAME.onnx there is; the caller frees it. NULL: there is none, or there are several. */
static char *only_onnx_file(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	char *found = NULL;
	size_t n = 0;

	if (!d)
		return NULL;
	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');

		if (!dot || strcmp(dot, ".onnx") != 0 || n++ > 0)
			continue;
		found = strdup(e->d_name);
	}
	closedir(d);
	if (n == 1)
		return found;
	free(found);
	return NULL;
}

/* Files of models whose backend is not taken from their names alone. */
static const struct {
	const char *file, *backend;
} by_file[] = {{"model.pt2", "torch"}, {"model.pt", "torch"}, {"model.joblib", "sklearn"},
	{"handler.py", "python"}};

/* Why `path` cannot be served without a model.onnx, or with this backend. */
static int say_incomplete(struct reading *r, const char *path)
{
	_cleanup_(freep) char *file = only_onnx_file(path);

	if (file)
		return layout_add_odd(&r->layout.odd,
			"%s/%s is not served: the model's file is called " MODEL_FILE ": rename it",
			path, file);
	if (r->conf.settings.backend)
		return layout_add_odd(
			&r->layout.odd, "%s has no " MODEL_FILE " (is it being copied?)", path);
	for (size_t i = 0; i < sizeof(by_file) / sizeof(by_file[0]); i++) {
		if (path_has(path, by_file[i].file))
			return layout_add_odd(&r->layout.odd,
				"%s/%s is served where a " CONF_FILE
				" says so: [model] backend = %s",
				path, by_file[i].file, by_file[i].backend);
	}
	return layout_add_odd(&r->layout.odd,
		"%s has no " MODEL_FILE " or " PYTHON_FILE ", and no " CONF_FILE " names a backend",
		path);
}

/* Its files are complete as far as can be told. */
static bool is_complete(const struct reading *r, const char *path)
{
	const char *backend = r->conf.settings.backend;

	return (backend && strcmp(backend, ONNX) != 0) || path_has(path, MODEL_FILE) ||
	       (!backend && path_has(path, PYTHON_FILE));
}

/* A version whose model.conf names no backend, by its files. */
static const char *backend_of(const char *path)
{
	return !path_has(path, MODEL_FILE) && path_has(path, PYTHON_FILE) ? PYTHON : ONNX;
}

/* A change of one of them is a change of the version. */
static int add_warmup_files(const struct reading *r, struct version_settings *s)
{
	_cleanup_(freep) char *path = path_join(r->directory, WARMUP_DIRECTORY);
	uint64_t files = 0;
	int e;

	if (s->n_warmups == 0)
		return 0;
	e = path ? fingerprint_directory(path, &files) : -ENOMEM;
	s->content ^= files;
	return e ? e : model_conf_replace(&s->warmup_path, path);
}

static int fill_version(
	struct reading *r, struct repository_version *v, uint64_t number, const char *path)
{
	char digits[24];
	int e = version_settings_copy(&v->settings, &r->conf.settings);

	if (!e && overlay_files(r->overlay))
		v->settings.files = spool_dir_ref(overlay_files_dir(overlay_files(r->overlay)));
	snprintf(digits, sizeof(digits), "%" PRIu64, number);
	if (!e)
		e = model_conf_replace(&v->settings.version, digits);
	if (!e)
		e = model_conf_replace(&v->settings.path, path);
	if (!e && !v->settings.backend)
		e = model_conf_replace(&v->settings.backend, backend_of(path));
	v->number = number;
	v->chosen = version_policy_has(&r->conf.versions, number, r->n_usable++);
	if (!e && strcmp(path, r->directory) != 0)
		e = fingerprint_directory(path, &v->settings.content);
	return e ? e : add_warmup_files(r, &v->settings);
}

static int add_version(struct reading *r, uint64_t number, const char *path)
{
	struct repository_entry *entry = r->entry;
	struct repository_version *all =
		realloc(entry->versions, (entry->n_versions + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	entry->versions = all;
	all[entry->n_versions] = (struct repository_version){0};
	return fill_version(r, &all[entry->n_versions++], number, path);
}

static int add_if_usable(struct reading *r, const struct layout_version *v)
{
	if (v->ambiguous)
		return 0;
	if (!is_complete(r, v->path))
		return say_incomplete(r, v->path);
	if (strlen(v->path) > WIRE_TEXT_MAX)
		return layout_add_odd(&r->layout.odd, "%s: the path is longer than %u characters",
			v->path, WIRE_TEXT_MAX);
	return add_version(r, v->number, v->path);
}

/* What needs no files has the versions that its policy names, or version 1. */
static int add_builtin(struct reading *r)
{
	const struct version_policy *p = &r->conf.versions;
	int e = 0;

	if (p->kind != VERSION_POLICY_SPECIFIC)
		return add_version(r, 1, r->directory);
	for (size_t i = 0; !e && i < p->n_numbers; i++)
		e = add_version(r, p->numbers[i], r->directory);
	return e;
}

static bool is_builtin(const struct reading *r)
{
	const char *backend = r->conf.settings.backend;

	return backend && !strcmp(backend, BUILTIN);
}

static int add_versions(struct reading *r)
{
	int e = 0;

	for (size_t i = 0; !e && i < r->layout.n; i++)
		e = add_if_usable(r, &r->layout.versions[i]);
	return e || r->entry->n_versions > 0 || !is_builtin(r) ? e : add_builtin(r);
}

/* --- What must hold ----------------------------------------------------------------------------- */

static bool has_number(const struct repository_entry *e, uint64_t number)
{
	for (size_t i = 0; i < e->n_versions; i++) {
		if (e->versions[i].number == number)
			return true;
	}
	return false;
}

static bool any_chosen(const struct repository_entry *e)
{
	for (size_t i = 0; i < e->n_versions; i++) {
		if (e->versions[i].chosen)
			return true;
	}
	return false;
}

/* Numbers that the policy names and that are not there. */
static int check_numbers(struct reading *r)
{
	const struct version_policy *p = &r->conf.versions;
	int e = 0;

	for (size_t i = 0; !e && i < p->n_numbers; i++) {
		if (!has_number(r->entry, p->numbers[i]))
			e = layout_add_odd(&r->layout.odd,
				"%s: there is no version directory %" PRIu64, r->directory,
				p->numbers[i]);
	}
	return e;
}

static int check_any(struct reading *r)
{
	if (any_chosen(r->entry))
		return 0;
	if (r->layout.odd)
		return entry_refuse(r->entry, "%s", r->layout.odd);
	if (r->conf.settings.backend)
		return entry_refuse(
			r->entry, "%s: there is no version directory, such as 1", r->directory);
	return entry_refuse(r->entry,
		"%s: no " CONF_FILE " that names a backend, and no 1/" MODEL_FILE
		" or 1/" PYTHON_FILE,
		r->directory);
}

static int refuse_overlay(struct reading *r, const char *text)
{
	r->entry->wrong_overlay = true;
	return entry_refuse(r->entry, "%s", text);
}

static int refuse_devices(struct reading *r, const char *devices)
{
	char text[512];

	if (r->devices_given) {
		snprintf(text, sizeof(text),
			"config devices '%.255s': there is no worker on any of them ([worker] "
			"workers)",
			devices);
		return refuse_overlay(r, text);
	}
	return entry_refuse(r->entry, "%s/%s: there is no worker on any of '%s' ([worker] workers)",
		r->directory,
		r->is_pbtxt ? PBTXT_FILE ": instance_group" : CONF_FILE ": [model] devices",
		devices);
}

static int check_devices(struct reading *r)
{
	const char *devices = r->conf.settings.devices, *fallback = r->conf.settings.fallback;
	const struct models_settings *s = r->settings;
	uint32_t n;

	if (fallback && !devices)
		return entry_refuse(r->entry,
			"%s/" CONF_FILE ": [model] fallback: it has all devices already",
			r->directory);
	if (!devices)
		return 0;
	for (size_t i = 0; i < s->n_places; i++) {
		if (comma_list_find(devices, s->places[i].device, &n) ||
			(fallback && comma_list_has(fallback, s->places[i].device)))
			return 0;
	}
	return refuse_devices(r, devices);
}

static int check_overlay(struct reading *r)
{
	char text[1024];
	int e = 0;

	for (size_t i = 0; !e && r->overlay && i < r->entry->n_versions; i++)
		e = overlay_check_backend(
			r->overlay, r->entry->versions[i].settings.backend, text, sizeof(text));
	return e == OVERLAY_E_INVALID ? refuse_overlay(r, text) : e;
}

/* A worker gets all of it in one message. */
static int check_size(struct reading *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->entry->n_versions; i++) {
		size_t bytes = version_settings_bytes(&r->entry->versions[i].settings);

		n = bytes > n ? bytes : n;
	}
	if (n <= VERSION_SETTINGS_BYTES_MAX)
		return 0;
	return entry_refuse(r->entry,
		"%s: its names, parameters and warm-ups take %zu bytes, and %u are the limit",
		r->directory, n, VERSION_SETTINGS_BYTES_MAX);
}

static int keep_odd(struct reading *r)
{
	if (r->ignored && layout_add_odd(&r->layout.odd, "%s", r->ignored))
		return -ENOMEM;
	if (!r->layout.odd || r->entry->error)
		return 0;
	entry_make_printable(r->layout.odd);
	r->entry->odd = steal_ptr(r->layout.odd);
	return 0;
}

/* --- Reading ------------------------------------------------------------------------------------ */

static void set_defaults(struct version_settings *m, const struct models_defaults *d)
{
	m->max_batch_size = UINT32_MAX;
	m->max_queue_delay_us = d->max_queue_delay_us;
	m->max_queue_size = d->max_queue_size;
	m->run_timeout_ms = d->run_timeout_ms;
	m->isolation = d->isolation;
}

static int read_pbtxt(struct reading *r)
{
	_cleanup_(freep) char *file = path_join(r->directory, PBTXT_FILE);
	char text[4096];
	int e;

	if (!file)
		return -ENOMEM;
	r->is_pbtxt = true;
	e = model_pbtxt_read(file, &r->conf, r->settings, &r->ignored, text, sizeof(text));
	return e == MODEL_PBTXT_E_INVALID ? entry_refuse(r->entry, "%s", text) : e;
}

static int read_conf(struct reading *r, const char *name)
{
	_cleanup_(freep) char *file = path_join(r->directory, CONF_FILE);
	char text[4096];
	int e;

	set_defaults(&r->conf.settings, &r->settings->defaults);
	if (!file || model_conf_replace(&r->conf.settings.name, name))
		return -ENOMEM;
	if (path_has(r->directory, PBTXT_FILE) && !path_has(r->directory, CONF_FILE))
		return read_pbtxt(r);
	if (path_has(r->directory, PBTXT_FILE) &&
		layout_add_odd(&r->ignored, "%s/" PBTXT_FILE " is not read beside " CONF_FILE,
			r->directory))
		return -ENOMEM;
	e = model_conf_read(file, &r->conf, text, sizeof(text));
	return e == MODEL_CONF_E_INVALID ? entry_refuse(r->entry, "%s", text) : e;
}

/* What the files say is in `files` then, and what is in effect in r->conf. */
static int begin_overlay(struct reading *r, struct model_conf *files)
{
	*files = r->conf;
	r->conf = (struct model_conf){0};
	if (!overlay_is_whole(r->overlay)) {
		r->conf.versions = files->versions;
		files->versions = (struct version_policy){0};
		return version_settings_copy(&r->conf.settings, &files->settings);
	}
	free(r->ignored);
	r->ignored = NULL;
	set_defaults(&r->conf.settings, &r->settings->defaults);
	return model_conf_replace(&r->conf.settings.name, files->settings.name);
}

static int lay_over(struct reading *r)
{
	struct model_conf files;
	char text[1024];
	int e = begin_overlay(r, &files);

	if (!e)
		e = overlay_apply(r->overlay, &r->conf, &files, r->settings, r->directory,
			&r->ignored, text, sizeof(text));
	r->devices_given = !e && r->conf.settings.devices &&
			   (!files.settings.devices ||
				   strcmp(files.settings.devices, r->conf.settings.devices) != 0);
	model_conf_release(&files);
	return e == OVERLAY_E_INVALID ? refuse_overlay(r, text) : e;
}

/* What a caller brought for it. */
static int write_files(struct reading *r, const char *name)
{
	struct overlay_files *files = overlay_files(r->overlay);
	int e = files ? overlay_files_write(files, name) : 0;

	return e ? entry_refuse(r->entry, "the files of model '%s' cannot be written: %s", name,
			   err_str(e))
		 : 0;
}

static int read_model(struct reading *r)
{
	int e = layout_read(&r->layout, r->directory);

	if (!e)
		e = add_versions(r);
	if (!e)
		e = check_numbers(r);
	if (!e)
		e = check_any(r);
	if (!e && !r->entry->error)
		e = check_devices(r);
	if (!e && !r->entry->error)
		e = check_overlay(r);
	if (!e && !r->entry->error)
		e = check_size(r);
	return e ? e : keep_odd(r);
}

int entry_read(struct repository_entry *e, const struct models_settings *s,
	const struct overlay *overlay, const char *directory, const char *name)
{
	const struct overlay_files *files = overlay_files(overlay);
	struct reading r = {.entry = e,
		.settings = s,
		.overlay = overlay,
		.directory = path_join(
			files ? spool_dir_path(overlay_files_dir(files)) : directory, name)};
	int error = r.directory ? entry_set_name(e, name) : -ENOMEM;

	if (!error && !name_valid(name))
		error = entry_refuse(e,
			"%s: a model's name has only letters, digits, _, . and -, at most %u",
			r.directory, WIRE_NAME_MAX);
	else if (!error)
		error = write_files(&r, name);
	if (!error && !e->error)
		error = read_conf(&r, name);
	if (!error && !e->error && overlay)
		error = lay_over(&r);
	if (!error && !e->error)
		error = read_model(&r);
	if (!error)
		error = fingerprint_directory(r.directory, &e->fingerprint);
	model_conf_release(&r.conf);
	layout_release(&r.layout);
	free(r.ignored);
	free(r.directory);
	return error;
}

int entry_looks_like_model(const char *directory, const char *name, bool *ret_yes)
{
	_cleanup_(freep) char *path = path_join(directory, name);
	_cleanup_(layout_release) struct layout l = {0};
	int e = path ? layout_read(&l, path) : -ENOMEM;

	if (!e)
		*ret_yes = l.n > 0 || l.has_files || path_has(path, CONF_FILE) ||
			   path_has(path, PBTXT_FILE);
	return e;
}
