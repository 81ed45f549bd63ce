/*
 * onnxruntime_provider_test.c: what ONNX Runtime's CUDA provider is told, and the texts where it cannot be had, with a
 * stand-in for the few functions that are called.
 */
#include "workers/backends/onnxruntime/provider.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct OrtStatus {
	const char *text;
};

/* What the stand-in was told, and what it answers: NULL: fine. */
static struct {
	const char *create, *update, *append;
	char options[1024]; /* "key=value key=value" */
	unsigned released;
	bool appended;
} ort;

struct pair {
	const char *key, *value;
};
static const struct pair *parameters, *settings;

static struct OrtStatus *answer(const char *text)
{
	static struct OrtStatus status;

	status.text = text;
	return text ? &status : NULL;
}

static int code_of(const struct OrtStatus *status)
{
	return status ? 1 : 0;
}

static const char *text_of(const struct OrtStatus *status)
{
	return status->text;
}

static void release_status(struct OrtStatus *status)
{
	status->text = NULL;
}

static struct OrtStatus *create(struct OrtCUDAProviderOptionsV2 **ret_options)
{
	*ret_options = ort.create ? NULL : (struct OrtCUDAProviderOptionsV2 *)&ort;
	return answer(ort.create);
}

static struct OrtStatus *update(struct OrtCUDAProviderOptionsV2 *options, const char *const *keys,
	const char *const *values, size_t n)
{
	cr_assert_eq((void *)options, (void *)&ort);
	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(ort.options);

		snprintf(ort.options + at, sizeof(ort.options) - at, "%s%s=%s", i ? " " : "",
			keys[i], values[i]);
	}
	return answer(ort.update);
}

static struct OrtStatus *append(
	struct OrtSessionOptions *o, const struct OrtCUDAProviderOptionsV2 *options)
{
	cr_assert_eq((const void *)options, (void *)&ort);
	ort.appended = true;
	return answer(ort.append);
}

static void release(struct OrtCUDAProviderOptionsV2 *options)
{
	ort.released++;
}

static int list(const struct pair *pairs, size_t i, const char **ret_key, const char **ret_value)
{
	for (size_t k = 0; pairs && k <= i; k++) {
		if (!pairs[k].key)
			return 0;
	}
	if (!pairs)
		return 0;
	*ret_key = pairs[i].key;
	*ret_value = pairs[i].value;
	return 1;
}

static int setting_at(const struct modeld_host *host, const char *backend, size_t i,
	const char **ret_key, const char **ret_value)
{
	return list(settings, i, ret_key, ret_value);
}

static int parameter_at(const struct modeld_model_spec *spec, size_t i, const char **ret_key,
	const char **ret_value)
{
	return list(parameters, i, ret_key, ret_value);
}

static const char *version(void)
{
	return "1.30.0";
}

static enum modeld_code add(const void *stream, struct modeld_error *error)
{
	const struct OrtApi api = {
		.GetErrorCode = code_of,
		.GetErrorMessage = text_of,
		.ReleaseStatus = release_status,
		.CreateCUDAProviderOptions = create,
		.UpdateCUDAProviderOptions = update,
		.SessionOptionsAppendExecutionProvider_CUDA_V2 = append,
		.ReleaseCUDAProviderOptions = release,
	};
	const struct OrtApiBase base = {.GetVersionString = version};
	const struct modeld_host host = {.device = "cuda:0", .setting_at = setting_at};
	const struct runtime r = {.host = &host,
		.api = &api,
		.library = {
			.base = &base, .path = "/nowhere/onnxruntime/capi/libonnxruntime.so.1"}};
	const struct modeld_model_spec spec = {.size = sizeof(spec), .parameter_at = parameter_at};

	*error = (struct modeld_error){.size = sizeof(*error)};
	return provider_add(NULL, &r, &spec, stream, error);
}

static void reset(void)
{
	memset(&ort, 0, sizeof(ort));
	parameters = settings = NULL;
}

TestSuite(onnxruntime_provider, .init = reset);

Test(onnxruntime_provider, the_gpu_and_the_lanes_stream)
{
	struct modeld_error error;

	cr_assert_eq(add((void *)4096, &error), MODELD_OK, "%s", error.text);
	cr_assert_str_eq(ort.options, "device_id=0 user_compute_stream=4096");
	cr_assert(ort.appended);
	cr_assert_eq(ort.released, 1);
}

Test(onnxruntime_provider, options_of_the_model_then_of_the_daemon)
{
	const struct pair of_model[] = {
		{"optimization", "all"}, {"cuda_gpu_mem_limit", "1000"}, {NULL, NULL}};
	const struct pair of_daemon[] = {{"cuda_gpu_mem_limit", "5"},
		{"cuda_cudnn_conv_algo_search", "HEURISTIC"}, {"library", "x"}, {NULL, NULL}};
	struct modeld_error error;

	parameters = of_model;
	settings = of_daemon;
	cr_assert_eq(add(NULL, &error), MODELD_OK, "%s", error.text);
	cr_assert_str_eq(
		ort.options, "device_id=0 gpu_mem_limit=1000 cudnn_conv_algo_search=HEURISTIC");
}

Test(onnxruntime_provider, what_is_the_workers_to_set)
{
	static const char *const keys[] = {"cuda_device_id", "cuda_user_compute_stream",
		"cuda_has_user_compute_stream", "cuda_enable_cuda_graph"};
	struct modeld_error error;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct pair pairs[] = {{keys[i], "1"}, {NULL, NULL}};

		settings = pairs;
		cr_assert_eq(add(NULL, &error), MODELD_INTERNAL);
		cr_expect(strstr(error.text, keys[i]) && strstr(error.text, "the worker's to set"),
			"%s", error.text);
		cr_expect_not(ort.appended);
	}
}

Test(onnxruntime_provider, too_many_options)
{
	static char names[40][16];
	static struct pair pairs[41];
	struct modeld_error error;

	for (size_t i = 0; i < 40; i++) {
		snprintf(names[i], sizeof(names[i]), "cuda_%zu", i);
		pairs[i] = (struct pair){names[i], "1"};
	}
	parameters = pairs;
	cr_assert_eq(add(NULL, &error), MODELD_INTERNAL);
	cr_expect(strstr(error.text, "more than 30 options"), "%s", error.text);
}

static void says(const char *create_error, const char *update_error, const char *append_error,
	const char *text)
{
	struct modeld_error error;

	reset();
	ort.create = create_error;
	ort.update = update_error;
	ort.append = append_error;
	cr_assert_eq(add(NULL, &error), MODELD_INTERNAL);
	cr_expect(strstr(error.text, text), "\"%s\" is not in \"%s\"", text, error.text);
	cr_expect_eq(ort.released, create_error ? 0 : 1);
}

Test(onnxruntime_provider, what_to_install)
{
	says("CUDA execution provider is not enabled in this build. ", NULL, NULL,
		"has no CUDA provider: install the package onnxruntime-gpu");
	says(NULL, NULL,
		"/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2251 "
		"onnxruntime::Provider& "
		"onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to "
		"load library "
		"libonnxruntime_providers_cuda.so with error: libcudnn.so.9: cannot open shared "
		"object file: "
		"No such file or directory",
		"needs libcudnn.so.9, which is not here: install the package nvidia-cudnn");
	says(NULL, NULL,
		"Failed to load library libonnxruntime_providers_cuda.so with error: "
		"libcublasLt.so.12: "
		"cannot open shared object file: No such file or directory",
		"needs libcublasLt.so.12, which is not here: install the package nvidia-cublas");
	says(NULL, NULL,
		"Failed to load library with error: /opt/x/libonnxruntime_providers_shared.so: "
		"cannot open "
		"shared object file: No such file or directory",
		"libonnxruntime_providers_shared.so is not here; the package onnxruntime-gpu");
	says(NULL, "Unknown provider option: \"gpu_mem_limt\".", NULL, "gpu_mem_limt");
	says(NULL, NULL, "CUDA failure 35: driver too old", "CUDA failure 35");
}
