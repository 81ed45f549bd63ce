/*
 * provider.c: see provider.h. Libraries of CUDA that packages lay beside ONNX Runtime's are opened ahead of the provider,
 * as the packages' own Python code does it: the dynamic linker would not look there. Worker process.
 */
#include "workers/backends/onnxruntime/provider.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/onnxruntime/keys.h"

#define OPTIONS_MAX 32u
#define STREAM_TEXT 24u

struct options {
	const char *keys[OPTIONS_MAX];
	const char *values[OPTIONS_MAX];
	size_t n;
	char stream[STREAM_TEXT];
};

/* --- What the provider is told ----------------------------------------------------------------- */

static bool has(const struct options *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++) {
		if (!strcmp(o->keys[i], key))
			return true;
	}
	return false;
}

/* Of two places the first that names it counts. */
static enum modeld_code add(
	struct options *o, const char *key, const char *value, struct modeld_error *error)
{
	if (strncmp(key, PROVIDER_PREFIX, strlen(PROVIDER_PREFIX)) != 0)
		return MODELD_OK;
	if (keys_is_ours(key))
		return error_set(error, MODELD_INTERNAL, "%s: that is the worker's to set", key);
	key += strlen(PROVIDER_PREFIX);
	if (has(o, key))
		return MODELD_OK;
	if (o->n == OPTIONS_MAX)
		return error_set(error, MODELD_INTERNAL,
			PROVIDER_PREFIX "%.64s: more than %u options", key, OPTIONS_MAX - 2);
	o->keys[o->n] = key;
	o->values[o->n++] = value;
	return MODELD_OK;
}

static enum modeld_code collect(struct options *o, const struct runtime *r,
	const struct modeld_model_spec *spec, const void *stream, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;
	const char *key, *value;

	snprintf(o->stream, sizeof(o->stream), "%llu", (unsigned long long)(uintptr_t)stream);
	o->keys[0] = "device_id";
	o->values[0] = "0";
	o->keys[1] = "user_compute_stream";
	o->values[1] = o->stream;
	o->n = stream ? 2 : 1;
	for (size_t i = 0; !code && spec->parameter_at(spec, i, &key, &value); i++)
		code = add(o, key, value, error);
	for (size_t i = 0; !code && r->host->setting_at(r->host, "onnxruntime", i, &key, &value);
		i++)
		code = add(o, key, value, error);
	return code;
}

/* --- Libraries beside it ------------------------------------------------------------------------ */

/* PREFIX/site-packages/onnxruntime/capi/libonnxruntime.so.N -> PREFIX/site-packages/nvidia/NAME/lib. Those that need others come
 * behind them. What is not there, or does not open, the provider will say. */
static void open_beside(const struct runtime *r)
{
	static const char *const names[] = {
		"cudart", "nvJitLink", "cublasLt", "cublas", "nvrtc", "curand", "cufft", "cudnn"};
	const char *end = strstr(r->library.path, "/onnxruntime/capi/");
	char pattern[4200];

	for (size_t i = 0; end && i < sizeof(names) / sizeof(names[0]); i++) {
		glob_t found = {0};

		snprintf(pattern, sizeof(pattern), "%.*s/nvidia/*/lib/lib%s.so.*",
			(int)(end - r->library.path), r->library.path, names[i]);
		if (!glob(pattern, 0, NULL, &found)) {
			for (size_t k = 0; k < found.gl_pathc; k++)
				(void)dlopen(found.gl_pathv[k], RTLD_NOW | RTLD_GLOBAL);
		}
		globfree(&found);
	}
}

/* --- What is wrong ------------------------------------------------------------------------------ */

struct package {
	const char *library; /* what the library's name begins with */
	const char *name;
};

/* By the names of the packages that bring them, but for the version of CUDA at the end. */
static const struct package packages[] = {
	{"libcudnn", "nvidia-cudnn"},
	{"libcublas", "nvidia-cublas"},
	{"libcudart", "nvidia-cuda-runtime"},
	{"libcufft", "nvidia-cufft"},
	{"libcurand", "nvidia-curand"},
	{"libnvrtc", "nvidia-cuda-nvrtc"},
	{"libnvJitLink", "nvidia-nvjitlink"},
};

#define CANNOT_OPEN ": cannot open shared object file"

/* The library that the dynamic linker misses: "libcudnn.so.9". False: the text names none. */
static bool find_missing(const char *text, char *out, size_t cap)
{
	const char *end = strstr(text, CANNOT_OPEN);
	const char *begin = end;

	while (begin && begin > text && !strchr(" /:\"'", begin[-1]))
		begin--;
	if (!begin || begin == end || (size_t)(end - begin) >= cap)
		return false;
	memcpy(out, begin, (size_t)(end - begin));
	out[end - begin] = 0;
	return true;
}

static const char *package_of(const char *library)
{
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		if (!strncmp(library, packages[i].library, strlen(packages[i].library)))
			return packages[i].name;
	}
	return NULL;
}

/* ONNX Runtime's text, in `error`, becomes one that says what to do. */
static void explain(const struct runtime *r, struct modeld_error *error)
{
	char why[sizeof(error->text)], missing[128];
	const char *package;

	snprintf(why, sizeof(why), "%s", error->text);
	if (strstr(why, "not enabled in this build") || strstr(why, "not included in this build")) {
		error_set(error, MODELD_INTERNAL,
			"ONNX Runtime %.20s (%.200s) has no CUDA provider: install the package "
			"onnxruntime-gpu in place of onnxruntime, or have library or venv in "
			"[backend.onnxruntime] name one",
			r->library.base->GetVersionString(), r->library.path);
		return;
	}
	if (!find_missing(why, missing, sizeof(missing)))
		return;
	package = package_of(missing);
	if (package)
		error_set(error, MODELD_INTERNAL,
			"the CUDA provider of ONNX Runtime %.20s needs %.60s, which is not here: "
			"install the package %s of its CUDA version (pip install "
			"'onnxruntime-gpu[cuda,cudnn]') beside it, or set LD_LIBRARY_PATH",
			r->library.base->GetVersionString(), missing, package);
	else
		error_set(error, MODELD_INTERNAL,
			"the CUDA provider of ONNX Runtime %.20s cannot be loaded: %.60s is not "
			"here; the package onnxruntime-gpu has the provider",
			r->library.base->GetVersionString(), missing);
}

enum modeld_code provider_add(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, const void *stream, struct modeld_error *error)
{
	struct OrtCUDAProviderOptionsV2 *cuda = NULL;
	const struct OrtApi *api = r->api;
	struct options options;
	enum modeld_code code = collect(&options, r, spec, stream, error);

	if (code)
		return code;
	code = runtime_check(r, api->CreateCUDAProviderOptions(&cuda), "CUDA provider", error);
	if (!code)
		code = runtime_check(r,
			api->UpdateCUDAProviderOptions(
				cuda, options.keys, options.values, options.n),
			"options of the CUDA provider (" PROVIDER_PREFIX "...)", error);
	if (!code) {
		open_beside(r);
		code = runtime_check(r, api->SessionOptionsAppendExecutionProvider_CUDA_V2(o, cuda),
			"CUDA provider", error);
	}
	if (cuda)
		api->ReleaseCUDAProviderOptions(cuda);
	if (code)
		explain(r, error);
	/* Whatever it says, no request is to blame. */
	return code ? MODELD_INTERNAL : MODELD_OK;
}
