/*
 * backend_loader.c: dlopen() of backends and the checks before they are believed. A name never
 * leads out of the backend directories. Worker process, its one thread.
 */
#include "workers/backend_loader.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "workers/builtin.h"
#include "workers/error.h"

#define BACKEND_NAME_MAX 64u

/* What the table has had since this number of the interface; for later members there is MODELD_HAS(). */
#define FIRST_SIZE offsetof(struct modeld_backend, instances)

struct loaded {
	struct loaded *next;
	char *name;			      /* own */
	const struct modeld_backend *backend; /* in the shared object, or builtin */
};

struct backends {
	char **directories; /* own */
	size_t n_directories;
	const struct modeld_host *host; /* borrow */
	struct loaded *loaded;		/* own */
};

int backends_new(struct backends **ret_backends, const char *const *directories, size_t n,
	const struct modeld_host *host)
{
	_cleanup_(backends_freep) struct backends *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->host = host;
	b->directories = calloc(n + 1, sizeof(*b->directories));
	if (!b->directories)
		return -ENOMEM;
	for (; b->n_directories < n; b->n_directories++) {
		b->directories[b->n_directories] = strdup(directories[b->n_directories]);
		if (!b->directories[b->n_directories])
			return -ENOMEM;
	}
	*ret_backends = steal_ptr(b);
	return 0;
}

struct backends *backends_free(struct backends *b)
{
	if (!b)
		return NULL;
	for (size_t i = 0; i < b->n_directories; i++)
		free(b->directories[i]);
	free(b->directories);
	while (b->loaded) {
		struct loaded *l = b->loaded;

		b->loaded = l->next;
		free(l->name);
		free(l);
	}
	free(b);
	return NULL;
}

static bool name_valid(const char *name)
{
	const char *allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strlen(name);

	return n > 0 && n <= BACKEND_NAME_MAX && *name != '.' && strspn(name, allowed) == n;
}

/* Where NAME.so is, first directory first. */
static bool find(const struct backends *b, const char *name, char path[PATH_MAX])
{
	for (size_t i = 0; i < b->n_directories; i++) {
		int n = snprintf(path, PATH_MAX, "%s/%s.so", b->directories[i], name);

		if (n > 0 && n < PATH_MAX && !access(path, F_OK))
			return true;
	}
	return false;
}

static int not_found(const struct backends *b, const char *name, struct modeld_error *error)
{
	int n = snprintf(error->text, sizeof(error->text), "no backend '%s': there is no %s.so in",
		name, name);

	for (size_t i = 0; i < b->n_directories && n > 0 && (size_t)n < sizeof(error->text); i++)
		n += snprintf(error->text + n, sizeof(error->text) - (size_t)n, "%s %s",
			i ? "," : "", b->directories[i]);
	if (b->n_directories == 0)
		return error_say(error, BACKEND_E_REFUSED,
			"no backend '%s': [worker] backend_dirs is empty", name);
	return BACKEND_E_REFUSED;
}

static int open_entry(const struct backends *b, const char *name, modeld_backend_fn *ret_entry,
	struct modeld_error *error)
{
	char path[PATH_MAX];
	void *library, *symbol;

	if (!strcmp(name, "builtin")) {
		*ret_entry = builtin_backend;
		return 0;
	}
	if (!name_valid(name))
		return error_say(error, BACKEND_E_REFUSED,
			"a backend's name has only letters, digits, _, . and -");
	if (!find(b, name, path))
		return not_found(b, name, error);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return error_say(error, BACKEND_E_REFUSED, "backend '%s' cannot be loaded: %s",
			name, dlerror());
	symbol = dlsym(library, "modeld_backend");
	if (!symbol) {
		dlclose(library);
		return error_say(error, BACKEND_E_REFUSED,
			"%s is no backend: it does not export modeld_backend()", path);
	}
	memcpy(ret_entry, &symbol, sizeof(symbol));
	return 0;
}

static int check(const char *name, const struct modeld_backend *backend, struct modeld_error *error)
{
	if (!backend) {
		(void)error_say(error, BACKEND_E_REFUSED,
			"backend '%s' is not willing to run on this worker", name);
		return BACKEND_E_UNWILLING;
	}
	/* In the first version the number stood where the size is now. */
	if (backend->size == 1 || backend->abi != MODELD_BACKEND_ABI)
		return error_say(error, BACKEND_E_REFUSED,
			"backend '%s' was built for version %u of backend.h, this worker has %u",
			name, backend->size == 1 ? 1 : backend->abi, MODELD_BACKEND_ABI);
	if (backend->size < FIRST_SIZE)
		return error_say(error, BACKEND_E_REFUSED,
			"backend '%s' says that its table has %zu bytes, not %zu", name,
			backend->size, FIRST_SIZE);
	if (!backend->load || !backend->run || !backend->unload)
		return error_say(error, BACKEND_E_REFUSED,
			"backend '%s' lacks one of load, run and unload", name);
	if (!backend->instance_create != !backend->instance_free)
		return error_say(error, BACKEND_E_REFUSED,
			"backend '%s' lacks one of instance_create and instance_free", name);
	return 0;
}

static const struct modeld_backend *known(const struct backends *b, const char *name)
{
	for (const struct loaded *l = b->loaded; l; l = l->next) {
		if (!strcmp(l->name, name))
			return l->backend;
	}
	return NULL;
}

/* The entry is called once: remember the outcome before the caller can ask again. */
static int remember(struct backends *b, const char *name, const struct modeld_backend *backend)
{
	_cleanup_(freep) struct loaded *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->name = strdup(name);
	if (!l->name)
		return -ENOMEM;
	l->backend = backend;
	l->next = b->loaded;
	b->loaded = steal_ptr(l);
	return 0;
}

int backends_get(struct backends *b, const char *name, const struct modeld_backend **ret_backend,
	struct modeld_error *ret_error)
{
	const struct modeld_backend *backend = known(b, name);
	modeld_backend_fn entry = NULL;
	int r;

	if (!backend) {
		r = open_entry(b, name, &entry, ret_error);
		if (r)
			return r;
		assert(entry);
		backend = entry(b->host);
		r = check(name, backend, ret_error);
		if (!r)
			r = remember(b, name, backend);
		if (r)
			return r;
	}
	*ret_backend = backend;
	return 0;
}
