/*
 * keys.c: see keys.h. docs/onnxruntime.md has the same list. Worker process.
 */
#include "workers/backends/onnxruntime/keys.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "workers/backends/onnxruntime/provider.h"

static const char *const both[] = {"intra_op_threads", "inter_op_threads", "spin", "optimization",
	"prepack", "custom_op_libraries", "arena", "arena_shrinkage", "memory_pattern", "batch"};
static const char *const settings_only[] = {"library", "venv"};

/* The worker has one GPU, gives each lane a stream, and other memory to each run. */
static const char *const ours[] = {
	"device_id", "user_compute_stream", "has_user_compute_stream", "enable_cuda_graph"};

#define N(list) (sizeof(list) / sizeof((list)[0]))

static bool is_in(const char *const *list, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(list[i], key))
			return true;
	return false;
}

/* Those of the CUDA provider ONNX Runtime itself looks through. */
static bool is_known(const char *key)
{
	return is_in(both, N(both), key) || !strncmp(key, PROVIDER_PREFIX, strlen(PROVIDER_PREFIX));
}

bool keys_is_ours(const char *key)
{
	size_t n = strlen(PROVIDER_PREFIX);

	return !strncmp(key, PROVIDER_PREFIX, n) && is_in(ours, N(ours), key + n);
}

static size_t list_keys(const char *const *list, size_t n, char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(to + at, size - at, ", %s", list[i]);
	return at < size ? at : size - 1;
}

/* Why a key that is not known is none: "means nothing; known are: ..." */
static void describe(const char *key, bool settings, char text[1024])
{
	char keys[512];
	size_t n = list_keys(both, N(both), keys, sizeof(keys));

	if (settings)
		list_keys(settings_only, N(settings_only), keys + n, sizeof(keys) - n);
	if (!settings && is_in(settings_only, N(settings_only), key))
		snprintf(text, 1024, "belongs in [backend.onnxruntime]");
	else
		snprintf(text, 1024, "means nothing; known are %s", keys + 2);
}

/* "where: key means nothing; known are: ..." */
static void report(
	const struct modeld_host *host, const char *where, const char *key, bool settings)
{
	char text[1024], line[1400];

	describe(key, settings, text);
	snprintf(line, sizeof(line), "%s: %.100s %s", where, key, text);
	host->log(host, MODELD_LOG_WARNING, line);
}

static bool is_setting(const char *key)
{
	return is_known(key) || is_in(settings_only, N(settings_only), key);
}

void keys_check_settings(const struct modeld_host *host)
{
	const char *key, *value;

	for (size_t i = 0; host->setting_at(host, "onnxruntime", i, &key, &value); i++)
		if (!is_setting(key))
			report(host, "[backend.onnxruntime]", key, true);
}

void keys_check_parameters(const struct modeld_host *host, const struct modeld_model_spec *spec)
{
	const char *key, *value;
	char where[160];

	snprintf(where, sizeof(where), "model '%.100s' [parameters]", spec->name);
	for (size_t i = 0; spec->parameter_at(spec, i, &key, &value); i++)
		if (!is_known(key))
			report(host, where, key, false);
}

static void judge(const char *key, bool settings, const struct modeld_faults *faults)
{
	char text[1024];

	if (settings ? !is_setting(key) : !is_known(key)) {
		describe(key, settings, text);
		faults->add(faults, key, text);
	} else if (keys_is_ours(key)) {
		faults->add(faults, key, "that is the worker's to set");
	}
}

void keys_judge(const struct modeld_host *host, const struct modeld_model_spec *spec,
	const struct modeld_faults *faults)
{
	const char *key, *value;

	for (size_t i = 0; !spec && host->setting_at(host, "onnxruntime", i, &key, &value); i++)
		judge(key, true, faults);
	for (size_t i = 0; spec && spec->parameter_at(spec, i, &key, &value); i++)
		judge(key, false, faults);
}
