/*
 * runtime.c: starts ONNX Runtime once a process and translates its errors and log. Its log goes to
 * the worker's, from whichever of its threads it comes. Worker process.
 */
#include "workers/backends/onnxruntime/runtime.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "workers/backends/onnxruntime/keys.h"
#include "workers/backends/onnxruntime/text.h"

#define THREADS_MAX 1024u

/* Names in a model are its author's: keep what is printed on one line. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

enum modeld_code error_set(
	struct modeld_error *error, enum modeld_code code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	make_printable(error->text);
	return code;
}

/* A call of CUDA that this process does not survive, as workers/device_cuda_error.c sorts them. */
static bool is_fatal(const char *text)
{
	static const int fatal[] = {4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718,
		719, 721, 810, 911, 999};
	const char *at = strstr(text, "CUDA failure ");
	int code;

	if (!at || sscanf(at, "CUDA failure %d", &code) != 1)
		return false;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		if (code == fatal[i])
			return true;
	}
	return false;
}

/* Memory errors have no code of their own. */
static enum modeld_code translate(int code, const char *text)
{
	if (is_fatal(text))
		return MODELD_FATAL;
	if (strstr(text, "Failed to allocate memory") || strstr(text, "bad_alloc") ||
		strstr(text, "out of memory"))
		return MODELD_EXHAUSTED;
	if (code == ORT_INVALID_ARGUMENT)
		return MODELD_INVALID;
	if (code == ORT_NOT_IMPLEMENTED)
		return MODELD_UNSUPPORTED;
	return MODELD_INTERNAL;
}

/* What is cut off makes room: the end of a long text is what says what was wrong. */
static void set_cut(
	struct modeld_error *error, enum modeld_code code, const char *doing, const char *text)
{
	char whole[4096];

	snprintf(whole, sizeof(whole), "%s", text);
	text_cut(whole);
	error_set(error, code, "%s: ONNX Runtime: %s", doing, whole);
}

enum modeld_code runtime_check(const struct runtime *r, struct OrtStatus *status, const char *doing,
	struct modeld_error *error)
{
	enum modeld_code code;
	const char *text;

	if (!status)
		return MODELD_OK;
	text = r->api->GetErrorMessage(status);
	code = translate(r->api->GetErrorCode(status), text);
	set_cut(error, code, doing, text);
	r->api->ReleaseStatus(status);
	return code;
}

bool runtime_on_gpu(const struct runtime *r)
{
	return !strncmp(r->host->device, "cuda:", 5);
}

static void log_line(void *context, enum ort_log_level level, const char *category, const char *id,
	const char *where, const char *text)
{
	const struct runtime *r = context;
	enum modeld_log_level ours = MODELD_LOG_DEBUG;
	char line[1024];

	(void)category;
	(void)id;
	if (level >= ORT_LOG_ERROR)
		ours = MODELD_LOG_ERROR;
	else if (level == ORT_LOG_WARNING && !text_is_idle(text))
		ours = MODELD_LOG_WARNING;
	snprintf(line, sizeof(line), "ONNX Runtime: %s (%s)", text, where);
	make_printable(line);
	r->host->log(r->host, ours, line);
}

/* With a pool of threads that models share: however many of them run at once, they take no more than their worker has. */
static enum modeld_code make_sharing_env(
	struct runtime *r, struct OrtThreadingOptions *o, struct modeld_error *error)
{
	const struct OrtApi *api = r->api;
	enum modeld_code code;

	code = runtime_check(
		r, api->SetGlobalIntraOpNumThreads(o, (int)r->threads), "threads", error);
	if (!code)
		code = runtime_check(r, api->SetGlobalInterOpNumThreads(o, 1), "threads", error);
	if (!code)
		code = runtime_check(r, api->SetGlobalSpinControl(o, 0), "threads", error);
	return code ? code
		    : runtime_check(r,
			      api->CreateEnvWithCustomLoggerAndGlobalThreadPools(
				      log_line, r, ORT_LOG_WARNING, "modeld", o, &r->env),
			      "starting", error);
}

static enum modeld_code make_env(struct runtime *r, struct modeld_error *error)
{
	const struct OrtApi *api = r->api;
	struct OrtThreadingOptions *o = NULL;
	enum modeld_code code;

	if (r->threads < 2)
		return runtime_check(r,
			api->CreateEnvWithCustomLogger(
				log_line, r, ORT_LOG_WARNING, "modeld", &r->env),
			"starting", error);
	code = runtime_check(r, api->CreateThreadingOptions(&o), "threads", error);
	if (!code)
		code = make_sharing_env(r, o, error);
	if (o)
		api->ReleaseThreadingOptions(o);
	return code;
}

static enum modeld_code start(struct runtime *r, struct modeld_error *error)
{
	const struct OrtApi *api = r->api;
	enum modeld_code code;

	code = make_env(r, error);
	if (!code)
		code = runtime_check(r, api->DisableTelemetryEvents(r->env), "starting", error);
	if (!code)
		code = runtime_check(r,
			api->CreateCpuMemoryInfo(
				ORT_ALLOCATOR_ARENA, ORT_MEMORY_DEFAULT, &r->memory),
			"starting", error);
	if (!code && runtime_on_gpu(r))
		code = runtime_check(r,
			api->CreateMemoryInfo("Cuda", ORT_ALLOCATOR_DEVICE, 0, ORT_MEMORY_DEFAULT,
				&r->device_memory),
			"starting", error);
	if (!code)
		code = runtime_check(
			r, api->GetAllocatorWithDefaultOptions(&r->allocator), "starting", error);
	return code;
}

static void stop(struct runtime *r)
{
	if (r->device_memory)
		r->api->ReleaseMemoryInfo(r->device_memory);
	if (r->memory)
		r->api->ReleaseMemoryInfo(r->memory);
	if (r->env)
		r->api->ReleaseEnv(r->env);
	memset(r, 0, sizeof(*r));
}

/* Where the administrator says how many each model has, none are shared. */
static uint32_t threads_of(const struct runtime *r)
{
	const struct modeld_host *host = r->host;

	if (!MODELD_HAS(host, threads) || host->threads < 1 || runtime_on_gpu(r) ||
		host->setting(host, "onnxruntime", "intra_op_threads"))
		return 1;
	return host->threads < THREADS_MAX ? host->threads : THREADS_MAX;
}

static void log_start(const struct runtime *r)
{
	const struct modeld_host *host = r->host;
	char line[1024];

	snprintf(line, sizeof(line), "ONNX Runtime %.40s from %.800s",
		r->library.base->GetVersionString(), r->library.path);
	host->log(host, MODELD_LOG_INFO, line);
	if (r->threads < 2)
		return;
	snprintf(line, sizeof(line),
		"ONNX Runtime: models that do not say intra_op_threads share %" PRIu32 " threads",
		r->threads);
	host->log(host, MODELD_LOG_INFO, line);
}

enum modeld_code runtime_start(
	struct runtime *r, const struct modeld_host *host, struct modeld_error *error)
{
	enum modeld_code code;

	if (r->api)
		return MODELD_OK;
	r->host = host;
	code = library_open(&r->library, host, error);
	if (code)
		return code;
	r->api = r->library.api;
	r->threads = threads_of(r);
	r->has_shape = library_offers(r->library.base, ORT_API_VERSION_HAS_SHAPE);
	code = start(r, error);
	if (code) {
		stop(r);
		return code;
	}
	log_start(r);
	keys_check_settings(host);
	return MODELD_OK;
}
