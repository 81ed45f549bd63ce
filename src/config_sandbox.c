/*
 * config_sandbox.c: what workers are told of the sandbox that they enter: its mode, and the paths that modeld
 * knows they need. Programs of backends are run by modeld-worker, which enters it first.
 */
#include "config_private.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "base/virtual_environment.h"

/* Of pool.sandbox, with the NULL at the end. */
#define N_VARIABLES 5u
#define AT_MODELS   3u
#define MODELS	    "MODELD_SANDBOX_MODELS="

/* A growing list of paths, one a line. */
struct lines {
	struct config *c;
	const char *text; /* NULL: no memory was left */
};

static void add(struct lines *l, const char *path)
{
	if (l->text)
		l->text = config_printf(l->c, "%s%s\n", l->text, path);
}

/* The directory that `path` lies in, and `behind`, put behind that. */
static void add_beside(struct lines *l, const char *path, const char *behind)
{
	const char *slash = strrchr(path, '/');

	if (l->text && slash)
		l->text = config_printf(
			l->c, "%s%.*s/%s\n", l->text, (int)(slash - path), path, behind);
}

static void add_list(struct lines *l, const char *const *paths)
{
	for (size_t i = 0; paths[i]; i++)
		add(l, paths[i]);
}

/* Beside PREFIX/lib/modeld/backends lies ONNX Runtime, or the virtual environment that has it. */
static void add_backend_dirs(struct lines *l, const char *const *dirs)
{
	for (size_t i = 0; dirs[i]; i++) {
		add(l, dirs[i]);
		add_beside(l, dirs[i], "onnxruntime");
		add_beside(l, dirs[i], "venv");
	}
}

/* A program may be a link to where what it needs is. */
static void add_program(struct lines *l, const char *path)
{
	_cleanup_(freep) char *real = realpath(path, NULL);

	add_beside(l, path, "");
	if (real)
		add_beside(l, real, "");
}

/* The libraries of the interpreter that a virtual environment was made of. */
static void add_libraries(struct lines *l, const char *interpreter)
{
	char libraries[PATH_MAX];

	if (virtual_environment_libraries(interpreter, libraries, sizeof(libraries)))
		add(l, libraries);
}

/* A path that a backend was given. A library may have others beside it; the virtual environment of a program is
 * above it. */
static void add_setting(struct lines *l, const struct wire_pair *setting)
{
	const char *key = strrchr(setting->key, '.');

	if (setting->value[0] != '/' || !key)
		return;
	add(l, setting->value);
	if (!strcmp(key, ".library"))
		add_beside(l, setting->value, "");
	if (!strcmp(key, ".interpreter")) {
		add_beside(l, setting->value, "..");
		add_libraries(l, setting->value);
	}
}

static const char *readable(struct config *c)
{
	struct lines l = {c, ""};

	add_list(&l, c->sandbox.read);
	add_beside(&l, c->sandbox.launcher, "../../lib/modeld");
	add_program(&l, c->sandbox.launcher);
	add_program(&l, c->pool.worker_program);
	add_backend_dirs(&l, c->pool.backend_dirs);
	for (size_t i = 0; i < c->pool.n_programs; i++)
		add_program(&l, c->pool.programs[i].argv[0]);
	for (size_t i = 0; i < c->pool.n_settings; i++)
		add_setting(&l, &c->pool.settings[i]);
	return l.text;
}

/* Where models are. upload_dir: those of callers; NULL: none are taken */
static const char *repositories(struct config *c, const char *upload_dir)
{
	struct lines l = {c, ""};

	add_list(&l, c->models.repositories);
	if (upload_dir)
		add(&l, upload_dir);
	return l.text;
}

static const char *joined(struct config *c, const char *const *paths)
{
	struct lines l = {c, ""};

	add_list(&l, paths);
	return l.text;
}

bool config_is_sandbox(const char *mode)
{
	return !strcmp(mode, "on") || !strcmp(mode, "relaxed") || !strcmp(mode, "off");
}

static int fill_environment(struct config *c)
{
	const char *read = readable(c);
	const char *write = joined(c, c->sandbox.write);
	const char *models = repositories(c, c->upload_dir);
	const char **list = config_alloc(c, N_VARIABLES * sizeof(*list));

	if (!read || !write || !models || !list)
		return -ENOMEM;
	list[0] = config_printf(c, "MODELD_SANDBOX=%s", c->sandbox.mode);
	list[1] = config_printf(c, "MODELD_SANDBOX_READ=%s", read);
	list[2] = config_printf(c, "MODELD_SANDBOX_WRITE=%s", write);
	list[AT_MODELS] = config_printf(c, MODELS "%s", models);
	list[AT_MODELS + 1] = NULL;
	c->pool.sandbox = list;
	return list[0] && list[1] && list[2] && list[AT_MODELS] ? 0 : -ENOMEM;
}

int config_renew_sandbox(struct config *now, const struct config *first)
{
	const char *models = repositories(now, first->upload_dir);
	const char **list = config_alloc(now, N_VARIABLES * sizeof(*list));

	if (!models || !list)
		return -ENOMEM;
	memcpy(list, first->pool.sandbox, N_VARIABLES * sizeof(*list));
	list[AT_MODELS] = config_printf(now, MODELS "%s", models);
	now->pool.sandbox = list;
	return list[AT_MODELS] ? 0 : -ENOMEM;
}

/* LAUNCHER --run PROGRAM ARG ... */
static int launch(struct config *c, struct pool_program *p)
{
	const char **argv;
	size_t n = 0;

	while (p->argv[n])
		n++;
	argv = config_alloc(c, (n + 3) * sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[0] = c->sandbox.launcher;
	argv[1] = "--run";
	memcpy(argv + 2, p->argv, (n + 1) * sizeof(*argv));
	p->argv = argv;
	return 0;
}

/* FIRST-LAST, or one of them. */
static bool parse_numbers(const char *text, uint32_t *ret_first, uint32_t *ret_last)
{
	uint64_t first, last;
	const char *end;

	if (decimal_read(text, &first, &end))
		return false;
	last = first;
	if (*end == '-' ? decimal_parse(end + 1, &last) != 0 : *end != '\0')
		return false;
	*ret_first = (uint32_t)first;
	*ret_last = (uint32_t)last;
	return first <= last && last < UINT32_MAX;
}

static bool find_user(const char *text, struct pool_users *ret_users)
{
	const struct passwd *found = getpwnam(text);
	uint32_t first = 0, last = 0;

	if (found)
		*ret_users = (struct pool_users){found->pw_uid, found->pw_gid, 1};
	else if (parse_numbers(text, &first, &last))
		*ret_users = (struct pool_users){first, first, last - first + 1};
	else
		return false;
	return ret_users->uid > 0 && ret_users->gid > 0;
}

static int resolve_user(struct config *c, char *message, size_t cap)
{
	const char *user = c->sandbox.user;

	c->pool.users = (struct pool_users){0};
	if (!*user || find_user(user, &c->pool.users))
		return 0;
	snprintf(message, cap,
		"[worker] user: '%s' is no user, or root: a name, a number, or FIRST-LAST for one "
		"each",
		user);
	return CONFIG_E_INVALID;
}

static bool is_launched(const struct config *c, const struct pool_program *p)
{
	return strcmp(p->sandbox ? p->sandbox : c->sandbox.mode, "off") != 0 || c->pool.users.n > 0;
}

int config_resolve_sandbox(struct config *c, char *message, size_t cap)
{
	const char *mode = c->sandbox.mode;
	struct pool_program *programs = (struct pool_program *)c->pool.programs;
	int r;

	if (!config_is_sandbox(mode)) {
		snprintf(message, cap, "[worker] sandbox: '%s' is none of on, relaxed, off", mode);
		return CONFIG_E_INVALID;
	}
	r = resolve_user(c, message, cap);
	if (!r)
		r = fill_environment(c);
	for (size_t i = 0; i < c->pool.n_programs && !r; i++)
		r = is_launched(c, &programs[i]) ? launch(c, &programs[i]) : 0;
	return r;
}

/* Is `path` the directory, or below it? */
static bool is_inside(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	while (n > 1 && directory[n - 1] == '/')
		n--;
	return !strncmp(path, directory, n) &&
	       (path[n] == '/' || path[n] == '\0' || directory[n - 1] == '/');
}

static bool is_inside_one(const char *path, const char *const *directories)
{
	for (size_t i = 0; directories[i]; i++) {
		if (is_inside(path, directories[i]))
			return true;
	}
	return false;
}

size_t config_find_hidden(const struct config *first, const struct config *before,
	const struct config *now, char *text, size_t cap)
{
	const char *const *added = now->models.repositories;
	size_t n = 0;

	*text = '\0';
	if (!strcmp(first->sandbox.mode, "off"))
		return 0;
	for (size_t i = 0; added[i]; i++) {
		size_t at = strlen(text);

		if (!is_inside_one(added[i], before->models.repositories) &&
			!is_inside_one(added[i], first->sandbox.read))
			snprintf(text + at, cap - at, "%s%s", n++ > 0 ? ", " : "", added[i]);
	}
	return n;
}
