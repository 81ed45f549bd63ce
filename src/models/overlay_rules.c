/* overlay_rules.c: what callers may set. Daemon process, any thread. */
#include "models/overlay_rules.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/digits.h"

#define THREADS_MAX  1024
#define DELAY_MS_MAX 3600000

#define KEYS                                                                                       \
	"devices, gpu_priority, instances, max_batch_size, max_queue_delay_us, max_queue_size, "   \
	"run_timeout_ms"

static const char *const keys[] = {"devices", "gpu_priority", "instances", "max_batch_size",
	"max_queue_delay_us", "max_queue_size", "run_timeout_ms"};

enum value {
	VALUE_THREADS,
	VALUE_DELAY,
	VALUE_BOOL,
	VALUE_OPTIMIZATION,
	VALUE_AUTO,
};

#define PARAMETERS                                                                                 \
	"arena, arena_shrinkage, batch, delay_ms, inter_op_threads, intra_op_threads, load_ms, "   \
	"memory_pattern, optimization, prepack, spin"

static const struct parameter {
	const char *name;
	const char *backend;
	enum value value;
} parameters[] = {
	{"arena", "onnxruntime", VALUE_BOOL},
	{"arena_shrinkage", "onnxruntime", VALUE_AUTO},
	{"batch", "onnxruntime", VALUE_AUTO},
	{"delay_ms", "builtin", VALUE_DELAY},
	{"inter_op_threads", "onnxruntime", VALUE_THREADS},
	{"intra_op_threads", "onnxruntime", VALUE_THREADS},
	{"load_ms", "builtin", VALUE_DELAY},
	{"memory_pattern", "onnxruntime", VALUE_BOOL},
	{"optimization", "onnxruntime", VALUE_OPTIMIZATION},
	{"prepack", "onnxruntime", VALUE_BOOL},
	{"spin", "onnxruntime", VALUE_BOOL},
};

static const struct parameter *find(const char *key)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (!strcmp(parameters[i].name, key))
			return &parameters[i];
	}
	return NULL;
}

bool overlay_rules_has_key(const char *key)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!strcmp(keys[i], key))
			return true;
	}
	return false;
}

bool overlay_rules_has_parameter(const char *key)
{
	return find(key) != NULL;
}

static bool is_number(const char *value, uint64_t max)
{
	uint64_t n;

	return !decimal_parse(value, &n) && n <= max;
}

static bool is_word(const char *value, const char *const *words)
{
	while (*words && strcmp(*words, value) != 0)
		words++;
	return *words != NULL;
}

const char *overlay_rules_check(const char *key, const char *value)
{
	static const char *const autos[] = {"auto", "yes", "no", NULL};
	static const char *const levels[] = {"none", "basic", "extended", "all", NULL};
	bool yes;

	switch (find(key)->value) {
	case VALUE_THREADS:
		return is_number(value, THREADS_MAX) ? NULL : "a number from 0 to 1024 is expected";
	case VALUE_DELAY:
		return is_number(value, DELAY_MS_MAX) ? NULL
						      : "a number from 0 to 3600000 is expected";
	case VALUE_BOOL:
		return bool_parse(value, &yes) ? "yes or no is expected" : NULL;
	case VALUE_OPTIMIZATION:
		return is_word(value, levels) ? NULL : "none, basic, extended or all is expected";
	case VALUE_AUTO:
		return is_word(value, autos) ? NULL : "auto, yes or no is expected";
	}
	return NULL;
}

bool overlay_rules_fits(const char *key, const char *backend)
{
	return !strcmp(find(key)->backend, backend);
}

const char *overlay_rules_names(void)
{
	return KEYS ", " PARAMETERS;
}
