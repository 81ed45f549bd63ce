/*
 * options.c: configuration into session options. Worker process.
 */
#include "workers/backends/onnxruntime/options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/digits.h"
#include "workers/backends/onnxruntime/custom.h"
#include "workers/backends/onnxruntime/provider.h"

#define THREADS_MAX    1024
#define THREADS_SHARED (-1) /* nothing is said */

#define N(list) (sizeof(list) / sizeof((list)[0]))

struct word {
	const char *text; /* NULL: the end */
	int value;
};

static const struct word batch_words[] = {
	{"auto", BATCH_AUTO}, {"yes", BATCH_YES}, {"no", BATCH_NO}, {NULL, 0}};
static const struct word shrinkages[] = {
	{"auto", SHRINK_UNUSUAL}, {"yes", SHRINK_ALWAYS}, {"no", SHRINK_NEVER}, {NULL, 0}};
static const struct word optimizations[] = {{"none", ORT_OPTIMIZE_NONE},
	{"basic", ORT_OPTIMIZE_BASIC}, {"extended", ORT_OPTIMIZE_EXTENDED},
	{"all", ORT_OPTIMIZE_ALL}, {NULL, 0}};

static const char *option(
	const struct runtime *r, const struct modeld_model_spec *spec, const char *key)
{
	const char *value = spec->parameter(spec, key);

	return value ? value : r->host->setting(r->host, "onnxruntime", key);
}

/* value NULL: nothing is set, and *ret_value keeps its default. So do those below. */
static enum modeld_code parse_word(const char *value, const char *key, const struct word *words,
	int *ret_value, struct modeld_error *error)
{
	const struct word *known = words;
	char list[128] = "";

	if (!value)
		return MODELD_OK;
	for (; words->text; words++) {
		if (strcmp(words->text, value))
			continue;
		*ret_value = words->value;
		return MODELD_OK;
	}
	for (size_t n = 0; known->text && n < sizeof(list); known++)
		n += (size_t)snprintf(
			list + n, sizeof(list) - n, "%s%s", n ? ", " : "", known->text);
	return error_set(error, MODELD_INTERNAL, "%s = %.64s: no such value; there are %s", key,
		value, list);
}

static enum modeld_code parse_bool(
	const char *value, const char *key, bool *ret_value, struct modeld_error *error)
{
	if (value && bool_parse(value, ret_value))
		return error_set(
			error, MODELD_INTERNAL, "%s = %.64s: yes or no is expected", key, value);
	return MODELD_OK;
}

static enum modeld_code parse_threads(
	const char *value, const char *key, int *ret_n, struct modeld_error *error)
{
	uint64_t n;

	if (!value)
		return MODELD_OK;
	if (decimal_parse(value, &n) || n > THREADS_MAX)
		return error_set(error, MODELD_INTERNAL, "%s = %.64s: no number from 0 to %d", key,
			value, THREADS_MAX);
	*ret_n = (int)n;
	return MODELD_OK;
}

static enum modeld_code option_word(const struct runtime *r, const struct modeld_model_spec *spec,
	const char *key, const struct word *words, int *ret_value, struct modeld_error *error)
{
	return parse_word(option(r, spec, key), key, words, ret_value, error);
}

static enum modeld_code option_bool(const struct runtime *r, const struct modeld_model_spec *spec,
	const char *key, bool *ret_value, struct modeld_error *error)
{
	return parse_bool(option(r, spec, key), key, ret_value, error);
}

static enum modeld_code option_threads(const struct runtime *r,
	const struct modeld_model_spec *spec, const char *key, int *ret_n,
	struct modeld_error *error)
{
	return parse_threads(option(r, spec, key), key, ret_n, error);
}

/* Those of the process, or, with as many as are said, some of the session's own. */
static enum modeld_code set_intra(struct OrtSessionOptions *o, const struct runtime *r, int intra,
	int inter, struct modeld_error *error)
{
	const struct OrtApi *api = r->api;

	if (intra == THREADS_SHARED && r->threads > 1 && inter == 1)
		return runtime_check(
			r, api->DisablePerSessionThreads(o), "intra_op_threads", error);
	if (intra == THREADS_SHARED)
		intra = 1;
	return runtime_check(r, api->SetIntraOpNumThreads(o, intra), "intra_op_threads", error);
}

static enum modeld_code set_threads(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	const struct OrtApi *api = r->api;
	int intra = THREADS_SHARED, inter = 1;
	bool spin = false;
	const char *spinning;
	enum modeld_code code;

	code = option_threads(r, spec, "intra_op_threads", &intra, error);
	if (!code)
		code = option_threads(r, spec, "inter_op_threads", &inter, error);
	if (!code)
		code = option_bool(r, spec, "spin", &spin, error);
	if (!code)
		code = set_intra(o, r, intra, inter, error);
	if (!code && inter != 1)
		code = runtime_check(r, api->SetSessionExecutionMode(o, ORT_EXECUTION_PARALLEL),
			"inter_op_threads", error);
	if (!code)
		code = runtime_check(
			r, api->SetInterOpNumThreads(o, inter), "inter_op_threads", error);
	spinning = spin ? "1" : "0";
	if (!code)
		code = runtime_check(r,
			api->AddSessionConfigEntry(o, "session.intra_op.allow_spinning", spinning),
			"spin", error);
	if (!code)
		code = runtime_check(r,
			api->AddSessionConfigEntry(o, "session.inter_op.allow_spinning", spinning),
			"spin", error);
	return code;
}

static enum modeld_code set_optimization(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	int level = ORT_OPTIMIZE_ALL;
	enum modeld_code code;

	code = option_word(r, spec, "optimization", optimizations, &level, error);
	if (code)
		return code;
	return runtime_check(
		r, r->api->SetSessionGraphOptimizationLevel(o, level), "optimization", error);
}

static enum modeld_code set_memory(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	bool arena = true, pattern = true;
	enum modeld_code code = option_bool(r, spec, "arena", &arena, error);

	if (!code)
		code = option_bool(r, spec, "memory_pattern", &pattern, error);
	if (!code && !arena)
		code = runtime_check(r, r->api->DisableCpuMemArena(o), "arena", error);
	if (!code && !pattern)
		code = runtime_check(r, r->api->DisableMemPattern(o), "memory_pattern", error);
	return code;
}

/* Packed weights are copies of this process; without, those of external data stay the file's pages, which processes share. */
static enum modeld_code set_weights(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	bool prepack = true;
	enum modeld_code code = option_bool(r, spec, "prepack", &prepack, error);

	if (code || prepack)
		return code;
	return runtime_check(r, r->api->AddSessionConfigEntry(o, "session.disable_prepacking", "1"),
		"prepack", error);
}

/* Those for all models, then the model's own. */
static enum modeld_code set_operators(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error)
{
	const char *key = "custom_op_libraries";
	enum modeld_code code =
		custom_register(o, r, r->host->setting(r->host, "onnxruntime", key), error);

	return code ? code : custom_register(o, r, spec->parameter(spec, key), error);
}

/* What only declares needs no GPU. */
static enum modeld_code set_device(struct OrtSessionOptions *o, const struct runtime *r,
	const struct modeld_model_spec *spec, const struct modeld_instance_spec *instance,
	struct modeld_error *error)
{
	const char *device = r->host->device;

	if (!strncmp(device, "cpu", 3))
		return MODELD_OK;
	if (runtime_on_gpu(r))
		return instance ? provider_add(o, r, spec, instance->stream, error) : MODELD_OK;
	return error_set(error, MODELD_UNSUPPORTED,
		"device %.64s: this backend runs on cpu:N and cuda:N", device);
}

enum modeld_code options_new(struct OrtSessionOptions **ret_options, const struct runtime *r,
	const struct modeld_model_spec *spec, const struct modeld_instance_spec *instance,
	struct modeld_error *error)
{
	struct OrtSessionOptions *o = NULL;
	enum modeld_code code;

	code = runtime_check(r, r->api->CreateSessionOptions(&o), "session options", error);
	if (!code)
		code = set_threads(o, r, spec, error);
	if (!code)
		code = set_optimization(o, r, spec, error);
	if (!code)
		code = set_memory(o, r, spec, error);
	if (!code)
		code = set_weights(o, r, spec, error);
	if (!code)
		code = set_operators(o, r, spec, error);
	if (!code)
		code = set_device(o, r, spec, instance, error);
	if (code) {
		if (o)
			r->api->ReleaseSessionOptions(o);
		return code;
	}
	*ret_options = o;
	return MODELD_OK;
}

enum modeld_code options_shrinkage(const struct runtime *r, const struct modeld_model_spec *spec,
	enum shrinkage *ret_shrinkage, struct modeld_error *error)
{
	int shrinkage = SHRINK_UNUSUAL;
	bool arena = true;
	enum modeld_code code =
		option_word(r, spec, "arena_shrinkage", shrinkages, &shrinkage, error);

	if (!code)
		code = option_bool(r, spec, "arena", &arena, error);
	if (!code)
		*ret_shrinkage = arena ? (enum shrinkage)shrinkage : SHRINK_NEVER;
	return code;
}

enum modeld_code options_batch(const struct runtime *r, const struct modeld_model_spec *spec,
	enum batch_option *ret_batch, struct modeld_error *error)
{
	int batch = BATCH_AUTO;
	enum modeld_code code = option_word(r, spec, "batch", batch_words, &batch, error);

	if (!code)
		*ret_batch = (enum batch_option)batch;
	return code;
}

/* --- Judged, without a session -------------------------------------------------------------------- */

struct check {
	const struct modeld_host *host;	      /* borrow */
	const struct modeld_model_spec *spec; /* borrow; NULL: settings */
	const struct modeld_faults *faults;   /* borrow */
	struct modeld_error error;
};

static const char *value_of(const struct check *c, const char *key)
{
	return c->spec ? c->spec->parameter(c->spec, key)
		       : c->host->setting(c->host, "onnxruntime", key);
}

/* The text without the key, which the fault has. */
static void note(struct check *c, const char *key, enum modeld_code code)
{
	const char *text = c->error.text;
	size_t n = strlen(key);

	if (!code)
		return;
	if (!strncmp(text, key, n) && !strncmp(text + n, " = ", 3))
		text += n + 3;
	c->faults->add(c->faults, key, text);
}

void options_check(const struct modeld_host *host, const struct modeld_model_spec *spec,
	const struct modeld_faults *faults)
{
	static const char *const bools[] = {"spin", "prepack", "arena", "memory_pattern"};
	static const char *const threads[] = {"intra_op_threads", "inter_op_threads"};
	static const struct {
		const char *key;
		const struct word *words;
	} words[] = {{"optimization", optimizations}, {"arena_shrinkage", shrinkages},
		{"batch", batch_words}};
	const char *libraries = "custom_op_libraries";
	struct check c = {host, spec, faults, {.size = sizeof(c.error)}};
	bool yes;
	int n;

	for (size_t i = 0; i < N(bools); i++)
		note(&c, bools[i], parse_bool(value_of(&c, bools[i]), bools[i], &yes, &c.error));
	for (size_t i = 0; i < N(threads); i++)
		note(&c, threads[i],
			parse_threads(value_of(&c, threads[i]), threads[i], &n, &c.error));
	for (size_t i = 0; i < N(words); i++)
		note(&c, words[i].key,
			parse_word(value_of(&c, words[i].key), words[i].key, words[i].words, &n,
				&c.error));
	note(&c, libraries, custom_check(value_of(&c, libraries), &c.error));
}
