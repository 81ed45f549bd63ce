/*
 * custom.c: see custom.h. Worker process.
 */
#include "workers/backends/onnxruntime/custom.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Open a second time what is open: closing would unmap code that sessions use. */
static enum modeld_code register_one(struct OrtSessionOptions *o, const struct runtime *r,
	const char *name, struct modeld_error *error)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_GLOBAL), *again = NULL;
	const char *why;

	if (!handle) {
		why = dlerror();
		return error_set(error, MODELD_INTERNAL, "custom_op_libraries: %s",
			why ? why : "cannot be opened");
	}
	if (!dlsym(handle, "RegisterCustomOps"))
		return MODELD_OK;
	return runtime_check(
		r, r->api->RegisterCustomOpsLibrary(o, name, &again), "custom_op_libraries", error);
}

/* The next name of the list, without spaces around; *list moves behind it. False: there is none. */
static bool next_name(const char **list, char *name, size_t size)
{
	const char *from = *list + strspn(*list, " \t,");
	size_t n = strcspn(from, ",");

	*list = from + n;
	while (n > 0 && strchr(" \t", from[n - 1]))
		n--;
	if (n == 0 || n >= size)
		return false;
	memcpy(name, from, n);
	name[n] = 0;
	return true;
}

enum modeld_code custom_register(struct OrtSessionOptions *o, const struct runtime *r,
	const char *list, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;
	char name[4096];

	while (list && !code && next_name(&list, name, sizeof(name)))
		code = register_one(o, r, name, error);
	return code;
}

enum modeld_code custom_check(const char *list, struct modeld_error *error)
{
	char name[4096];

	while (list && next_name(&list, name, sizeof(name))) {
		if (strchr(name, '/') && access(name, R_OK))
			return error_set(
				error, MODELD_INTERNAL, "%.300s: %s", name, strerror(errno));
	}
	return MODELD_OK;
}
