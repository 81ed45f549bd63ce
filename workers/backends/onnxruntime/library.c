/*
 * library.c: finds and opens libonnxruntime. A candidate that is there but will not do (too old,
 * broken, for another machine) is remembered: if no better one follows, the error says so.
 * Worker process.
 */
#include "workers/backends/onnxruntime/library.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKAGE_IN_VENV "lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*"
#define HOW_TO_GET_IT                                                                              \
	"modeld-setup-onnxruntime gets version " ORT_OLDEST_RELEASE                                \
	" or newer (in a checkout: scripts/setup run); or say library or venv in "                 \
	"[backend.onnxruntime]"

/* Found without a path by the dynamic linker, or patterns of glob(3). */
static const char *const usual_places[] = {
	"/usr/local/lib/libonnxruntime.so*",
	"/usr/lib/python3/dist-packages/onnxruntime/capi/libonnxruntime.so.*",
	"/usr/lib/x86_64-linux-gnu/libonnxruntime.so*",
	"/usr/lib/libonnxruntime.so*",
};

static void why(struct modeld_error *error, const char *path, const char *what)
{
	snprintf(error->text, sizeof(error->text), "%.200s: %.160s; " HOW_TO_GET_IT, path, what);
}

bool library_offers(const struct OrtApiBase *base, uint32_t api_version)
{
	unsigned major = 0, minor = 0;

	if (sscanf(base->GetVersionString(), "%u.%u", &major, &minor) != 2)
		return false;
	return major > 1 || (major == 1 && minor >= api_version);
}

static bool take(struct library *l, void *handle, const char *path, struct modeld_error *error)
{
	const struct OrtApiBase *(*get_base)(void) = NULL;
	const struct OrtApiBase *base;
	const struct OrtApi *api = NULL;
	char what[160];

	*(void **)&get_base = dlsym(handle, "OrtGetApiBase");
	base = get_base ? get_base() : NULL;
	if (!base) {
		why(error, path, "not a library of ONNX Runtime: it has no OrtGetApiBase");
		return false;
	}
	if (library_offers(base, ORT_API_VERSION))
		api = base->GetApi(ORT_API_VERSION);
	if (!api) {
		snprintf(what, sizeof(what), "version %.40s is too old", base->GetVersionString());
		why(error, path, what);
		return false;
	}
	l->base = base;
	l->api = api;
	snprintf(l->path, sizeof(l->path), "%s", path);
	return true;
}

/* Leaves error alone where the dynamic linker finds nothing under a bare name. */
static bool try_file(struct library *l, const char *path, struct modeld_error *error)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const char *text;

	if (!handle) {
		text = dlerror();
		if (strchr(path, '/'))
			why(error, path, text ? text : "cannot be opened");
		return false;
	}
	if (take(l, handle, path, error))
		return true;
	dlclose(handle);
	return false;
}

static bool try_pattern(struct library *l, const char *pattern, struct modeld_error *error)
{
	glob_t found = {0};
	bool ok = false;

	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = found.gl_pathc; i > 0 && !ok; i--) /* newest first */
			ok = try_file(l, found.gl_pathv[i - 1], error);
	}
	globfree(&found);
	return ok;
}

static bool try_venv(struct library *l, const char *venv, struct modeld_error *error)
{
	char pattern[4096];
	int n = snprintf(pattern, sizeof(pattern), "%s/" PACKAGE_IN_VENV, venv);

	return n > 0 && (size_t)n < sizeof(pattern) && try_pattern(l, pattern, error);
}

/* What lies beside the directory of the backends: PREFIX/lib/modeld/backends/onnxruntime.so ->
 * PREFIX/lib/modeld/NAME */
static bool beside(char *out, size_t cap, const char *name)
{
	const char *slash;
	Dl_info self;
	int n;

	if (!dladdr(usual_places, &self) || !self.dli_fname)
		return false;
	slash = strrchr(self.dli_fname, '/');
	if (!slash || slash - self.dli_fname > INT_MAX)
		return false;
	n = snprintf(out, cap, "%.*s/../%s", (int)(slash - self.dli_fname), self.dli_fname, name);
	return n > 0 && (size_t)n < cap;
}

/* Where `make install` lays it, and where scripts/setup does. */
static bool try_beside(struct library *l, struct modeld_error *error)
{
	char path[4096];

	if (beside(path, sizeof(path), "onnxruntime/libonnxruntime.so*") &&
		try_pattern(l, path, error))
		return true;
	return beside(path, sizeof(path), "venv") && try_venv(l, path, error);
}

static bool try_usual_places(struct library *l, struct modeld_error *error)
{
	const char *venv = getenv("VIRTUAL_ENV");

	if (try_file(l, "libonnxruntime.so.1", error) || try_file(l, "libonnxruntime.so", error))
		return true;
	if (venv && *venv && try_venv(l, venv, error))
		return true;
	if (try_beside(l, error))
		return true;
	for (size_t i = 0; i < sizeof(usual_places) / sizeof(usual_places[0]); i++)
		if (try_pattern(l, usual_places[i], error))
			return true;
	return false;
}

enum modeld_code library_open(
	struct library *l, const struct modeld_host *host, struct modeld_error *error)
{
	const char *named = host->setting(host, "onnxruntime", "library");
	const char *venv = host->setting(host, "onnxruntime", "venv");
	const char *variable = getenv("MODELD_ONNXRUNTIME");
	struct modeld_error reason = {.size = sizeof(reason)};
	bool ok;

	if (named && *named) {
		why(&reason, named, "no such library");
		ok = try_file(l, named, &reason);
	} else if (venv && *venv) {
		why(&reason, venv, "no onnxruntime package in this virtual environment");
		ok = try_venv(l, venv, &reason);
	} else if (variable && *variable) {
		why(&reason, variable, "no such library (MODELD_ONNXRUNTIME names it)");
		ok = try_file(l, variable, &reason);
	} else {
		why(&reason, "libonnxruntime.so", "not found");
		ok = try_usual_places(l, &reason);
	}
	if (ok)
		return MODELD_OK;
	*error = reason;
	return MODELD_INTERNAL;
}
