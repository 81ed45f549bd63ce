/*
 * config_resolve.c: what "auto" means here, and what must hold between keys. Looks at the
 * environment and at /proc/self/exe; creates nothing.
 */
#include "config_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/machine.h"
#include "base/places.h"
#include "base/processors.h"

#define BACKEND_SETTINGS_BYTES_MAX (64u * 1024u)

/* Where there is no /proc the kernel has told by what path it was executed. */
static bool find_program(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	const char *executed;

	if (n >= 0) {
		path[n] = 0;
		return true;
	}
	executed = (const char *)getauxval(AT_EXECFN);
	return executed && realpath(executed, path);
}

/* The directory of this program, without a trailing slash. */
static char *program_directory(struct config *c)
{
	char path[PATH_MAX];
	char *slash;

	if (!find_program(path))
		return NULL;
	slash = strrchr(path, '/');
	if (!slash)
		return NULL;
	*(slash == path ? slash + 1 : slash) = 0;
	return config_strdup(c, path);
}

/* What a file says is relative to the file, what --set says to the working directory. The result is
 * absolute, so that what --check prints means the same everywhere. NULL: no memory. */
static const char *absolute(struct config *c, const struct config_entry *e, const char *path)
{
	const char *base = e->from_command ? "." : c->store->directory;
	_cleanup_(freep) char *real = NULL;

	if (path[0] == '/')
		return path;
	real = realpath(base, NULL);
	return config_printf(c, "%s/%s", real ? real : base, path);
}

static int resolve_path(struct config *c, const char *section, const char *name, const char **path)
{
	*path = absolute(c, config_entry(c, section, name), *path);
	return *path ? config_show(c, section, name, *path) : -ENOMEM;
}

/* Beside modeld in a build tree, in ../libexec/modeld when installed. */
static int resolve_program(struct config *c, const char *directory)
{
	char *path = config_printf(c, "%s/modeld-worker", directory);

	if (path && access(path, X_OK))
		path = config_printf(c, "%s/../libexec/modeld/modeld-worker", directory);
	if (!path)
		return -ENOMEM;
	c->sandbox.launcher = path;
	if (strcmp(c->pool.worker_program, "auto"))
		return resolve_path(c, "worker", "program", &c->pool.worker_program);
	c->pool.worker_program = path;
	return config_show(c, "worker", "program", path);
}

/* One as long as `in`, of *ret_n entries, to be filled; NULL: no memory. */
static const char **blank_list(struct config *c, const char *const *in, size_t *ret_n)
{
	size_t n = 0;

	while (in[n])
		n++;
	*ret_n = n;
	return config_alloc(c, (n + 1) * sizeof(*in));
}

/* A list of paths becomes one of absolute ones. */
static int resolve_paths(
	struct config *c, const char *section, const char *name, const char *const **paths)
{
	const char *const *in = *paths;
	const char *text = "";
	size_t n = 0;
	const char **out = blank_list(c, in, &n);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		out[i] = absolute(c, config_entry(c, section, name), in[i]);
		text = out[i] ? config_printf(c, "%s%s%s", text, i ? ", " : "", out[i]) : NULL;
		if (!text)
			return -ENOMEM;
	}
	*paths = out;
	return config_show(c, section, name, text);
}

static int resolve_backends(struct config *c, const char *directory)
{
	const char **dirs;
	char *path;

	if (strcmp(c->pool.backend_dirs[0], "auto"))
		return resolve_paths(c, "worker", "backend_dirs", &c->pool.backend_dirs);
	path = config_printf(c, "%s/backends", directory);
	if (path && access(path, X_OK))
		path = config_printf(c, "%s/../lib/modeld/backends", directory);
	dirs = config_alloc(c, 2 * sizeof(*dirs));
	if (!path || !dirs)
		return -ENOMEM;
	dirs[0] = path;
	c->pool.backend_dirs = dirs;
	return config_show(c, "worker", "backend_dirs", path);
}

/* Not in a build tree. */
static bool is_installed(const char *directory)
{
	char path[4200];
	int n = snprintf(path, sizeof(path), "%s/../libexec/modeld/modeld-worker", directory);

	return n > 0 && (size_t)n < sizeof(path) && !access(path, X_OK);
}

/* Where its clients look (base/places.h): $RUNTIME_DIRECTORY (systemd; may list several); else $XDG_RUNTIME_DIR/modeld,
 * but for a daemon of root's that is installed; else `run` beside the program in a build tree, and of one that is
 * installed /run/modeld, or /tmp/modeld-UID of a user who has no way there. */
static int resolve_runtime_dir(struct config *c, const char *directory)
{
	const char *systemd = getenv("RUNTIME_DIRECTORY"), *xdg = getenv("XDG_RUNTIME_DIR");
	bool installed = is_installed(directory);
	char own[PLACES_OWN_MAX];
	char *path;

	places_own_dir(own);
	if (strcmp(c->runtime_dir, "auto"))
		return resolve_path(c, "server", "runtime_dir", &c->runtime_dir);
	if (systemd && *systemd)
		path = config_printf(c, "%.*s", (int)strcspn(systemd, ":"), systemd);
	else if (xdg && *xdg && !(installed && geteuid() == 0))
		path = config_printf(c, "%s/" PLACES_USER_DIR, xdg);
	else if (!installed)
		path = config_printf(c, "%s/run", directory);
	else if (geteuid() == 0 || !access(PLACES_SYSTEM_DIR, W_OK | X_OK))
		path = config_printf(c, PLACES_SYSTEM_DIR);
	else
		path = config_printf(c, "%s", own);
	if (!path)
		return -ENOMEM;
	c->runtime_dir = path;
	return config_show(c, "server", "runtime_dir", path);
}

static int resolve_uploads(struct config *c)
{
	c->upload_root = config_printf(c, "%s/uploads", c->runtime_dir);
	if (!c->upload_root)
		return -ENOMEM;
	if (c->models.control != MODELS_CONTROL_EXPLICIT ||
		c->frontend.services.uploads == KSERVE_UPLOADS_OFF)
		return 0;
	c->upload_dir = c->upload_root;
	return 0;
}

/* "unix:name" without a directory goes to the runtime directory. */
static int resolve_listen(struct config *c)
{
	const char *const *in = c->frontend.listen;
	size_t n = 0;
	const char **out = blank_list(c, in, &n);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		out[i] = in[i];
		if (strncmp(in[i], "unix:", 5) || strchr(in[i], '/') || in[i][5] == '@')
			continue;
		out[i] = config_printf(c, "unix:%s/%s", c->runtime_dir, in[i] + 5);
		if (!out[i])
			return -ENOMEM;
	}
	c->frontend.listen = out;
	return 0;
}

/* A name without a directory goes to the runtime directory; an empty one means no handoff. */
static int resolve_handoff(struct config *c)
{
	c->handoff.busy_poll_us = c->pool.busy_poll_us;
	c->handoff.max_unread_answers = c->frontend.services.max_unread_answers;
	if (!c->handoff.unix_group[0])
		c->handoff.unix_group = NULL;
	if (!c->handoff.socket[0]) {
		c->handoff.socket = NULL;
		return 0;
	}
	if (strchr(c->handoff.socket, '/'))
		return resolve_path(c, "handoff", "socket", &c->handoff.socket);
	c->handoff.socket = config_printf(c, "%s/%s", c->runtime_dir, c->handoff.socket);
	return c->handoff.socket ? 0 : -ENOMEM;
}

static int resolve_backend_settings(struct config *c)
{
	struct wire_pair *pairs = config_alloc(c, c->store->n_backend * sizeof(*pairs));

	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < c->store->n_backend; i++)
		pairs[i] = (struct wire_pair){c->store->backend[i].key, c->store->backend[i].value};
	c->pool.settings = pairs;
	c->pool.n_settings = c->store->n_backend;
	return 0;
}

/* All of them go to each worker in one message. */
static int check_backend_settings(struct config *c, char *message, size_t cap)
{
	size_t bytes = 0;

	for (size_t i = 0; i < c->pool.n_settings; i++)
		bytes += strlen(c->pool.settings[i].key) + strlen(c->pool.settings[i].value);
	if (c->pool.n_settings <= WIRE_PAIRS_MAX && bytes <= BACKEND_SETTINGS_BYTES_MAX)
		return 0;
	snprintf(message, cap,
		"[backend.*]: %zu settings of %zu bytes, at most %u of %u are allowed",
		c->pool.n_settings, bytes, WIRE_PAIRS_MAX, BACKEND_SETTINGS_BYTES_MAX);
	return CONFIG_E_INVALID;
}

static int resolve_sandbox(struct config *c, char *message, size_t cap)
{
	int r = resolve_paths(c, "worker", "sandbox_read", &c->sandbox.read);

	if (!r)
		r = resolve_paths(c, "worker", "sandbox_write", &c->sandbox.write);
	return r ? r : config_resolve_sandbox(c, message, cap);
}

static int resolve_gpus(struct config *c, char *message, size_t cap)
{
	const char *text;
	int r = config_find_gpus(c, &text, message, cap);

	return r || !text ? r : config_show(c, "worker", "workers", text);
}

static int resolve_memory(struct config *c)
{
	char what[256];

	c->pool.processors = processors_usable("");
	c->memory_bytes = machine_memory("", what, sizeof(what));
	c->memory_source = config_strdup(c, what);
	return c->memory_source ? config_resolve_memory(c, c->memory_bytes) : -ENOMEM;
}

static int check_together(struct config *c, char *message, size_t cap)
{
	if (c->frontend.http2.connection_window_bytes < c->frontend.http2.stream_window_bytes) {
		snprintf(message, cap,
			"[http2] connection_window_bytes (%u) must not be below "
			"stream_window_bytes (%u)",
			c->frontend.http2.connection_window_bytes,
			c->frontend.http2.stream_window_bytes);
		return CONFIG_E_INVALID;
	}
	if (c->pool.heartbeat_timeout_ms < c->pool.heartbeat_interval_ms) {
		snprintf(message, cap,
			"[worker] heartbeat_timeout_ms (%llu) must not be below "
			"heartbeat_interval_ms "
			"(%llu)",
			(unsigned long long)c->pool.heartbeat_timeout_ms,
			(unsigned long long)c->pool.heartbeat_interval_ms);
		return CONFIG_E_INVALID;
	}
	return check_backend_settings(c, message, cap);
}

int config_resolve(struct config *c, char *message, size_t cap)
{
	char *directory = program_directory(c);
	int r = directory ? 0 : -ENOMEM;

	if (!r)
		r = resolve_program(c, directory);
	if (!r)
		r = resolve_backends(c, directory);
	if (!r)
		r = resolve_runtime_dir(c, directory);
	if (!r)
		r = resolve_uploads(c);
	if (!r)
		r = resolve_listen(c);
	if (!r)
		r = resolve_handoff(c);
	if (!r)
		r = resolve_paths(c, "models", "repository", &c->models.repositories);
	if (!r)
		r = resolve_backend_settings(c);
	if (!r)
		r = config_find_programs(c, message, cap);
	if (!r)
		r = resolve_sandbox(c, message, cap);
	if (!r)
		r = resolve_gpus(c, message, cap);
	if (!r)
		r = resolve_memory(c);
	c->dispatch.default_max_batch_size = c->models.defaults.max_batch_size;
	c->models.default_model = c->dispatch.default_model;
	c->models.places = c->pool.places;
	c->models.n_places = c->pool.n_places;
	c->dispatch.arena.name = "modeld-input";
	c->dispatch.arena.idle_ns = c->pool.output_idle_ms * NS_PER_MS;
	c->pool.output_segment_bytes = c->dispatch.arena.segment_bytes;
	c->pool.scratch_bytes = c->dispatch.arena.limit;
	if (!c->frontend.unix_group[0])
		c->frontend.unix_group = NULL;
	return r ? r : check_together(c, message, cap);
}

static bool lies_in(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return !strncmp(path, directory, n) && path[n] == '/';
}

bool config_needs_runtime_dir(const struct config *c)
{
	for (size_t i = 0; c->frontend.listen[i]; i++) {
		const char *address = c->frontend.listen[i];

		if (!strncmp(address, "unix:", 5) && lies_in(address + 5, c->runtime_dir))
			return true;
	}
	return c->handoff.socket && lies_in(c->handoff.socket, c->runtime_dir);
}
