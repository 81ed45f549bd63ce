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

static size_t list_keys(const char *const *list, size_t n, char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(to + at, size - at, ", %s", list[i]);
	return at < size ? at : size - 1;
}

/* "where: key means nothing; known are: ..." */
static void report(
	const struct modeld_host *host, const char *where, const char *key, bool settings)
{
	char keys[512], line[1024];
	size_t n = list_keys(both, N(both), keys, sizeof(keys));

	if (settings)
		list_keys(settings_only, N(settings_only), keys + n, sizeof(keys) - n);
	if (!settings && is_in(settings_only, N(settings_only), key))
		snprintf(line, sizeof(line), "%s: %.100s belongs in [backend.onnxruntime]", where,
			key);
	else
		snprintf(line, sizeof(line), "%s: %.100s means nothing; known are %s", where, key,
			keys + 2);
	host->log(host, MODELD_LOG_WARNING, line);
}

void keys_check_settings(const struct modeld_host *host)
{
	const char *key, *value;

	for (size_t i = 0; host->setting_at(host, "onnxruntime", i, &key, &value); i++)
		if (!is_known(key) && !is_in(settings_only, N(settings_only), key))
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
