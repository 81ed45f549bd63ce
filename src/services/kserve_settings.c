/*
 * kserve_settings.c: TraceSetting and LogSettings: what is so here, in Triton's words. Traces are not
 * recorded, and logging is configured where the daemon is: both can be read, and set to nothing else than
 * they are. Daemon process, loop thread.
 */
#include "services/kserve_settings.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_small.h"

/* --- Traces ----------------------------------------------------------------------------------- */

typedef Inference__TraceSettingResponse TraceResponse;
typedef Inference__TraceSettingResponse__SettingsEntry TraceEntry;
typedef Inference__TraceSettingResponse__SettingValue TraceValue;

static const struct {
	const char *key;
	const char *value;
} trace_settings[] = {
	{"trace_file", ""},
	{"trace_level", "OFF"},
	{"trace_rate", "1000"},
	{"trace_count", "-1"},
	{"log_frequency", "0"},
	{"trace_mode", "triton"},
};
#define N_TRACE_SETTINGS (sizeof(trace_settings) / sizeof(trace_settings[0]))

static const char *trace_setting(const char *key)
{
	for (size_t i = 0; i < N_TRACE_SETTINGS; i++) {
		if (!strcmp(trace_settings[i].key, key))
			return trace_settings[i].value;
	}
	return NULL;
}

/* To clear a setting, or to set it to what it is, changes nothing. */
static bool trace_changes(const Inference__TraceSettingRequest__SettingsEntry *e)
{
	const char *value = trace_setting(e->key);

	return value && e->value && e->value->n_value > 0 &&
	       (e->value->n_value > 1 || strcmp(e->value->value[0], value) != 0);
}

static void answer_trace(struct call *c)
{
	TraceResponse m = INFERENCE__TRACE_SETTING_RESPONSE__INIT;
	TraceEntry entries[N_TRACE_SETTINGS];
	TraceEntry *list[N_TRACE_SETTINGS];
	TraceValue values[N_TRACE_SETTINGS];
	char *texts[N_TRACE_SETTINGS];

	for (size_t i = 0; i < N_TRACE_SETTINGS; i++) {
		inference__trace_setting_response__settings_entry__init(&entries[i]);
		inference__trace_setting_response__setting_value__init(&values[i]);
		texts[i] = (char *)trace_settings[i].value;
		values[i].value = &texts[i];
		values[i].n_value = 1;
		entries[i].key = (char *)trace_settings[i].key;
		entries[i].value = &values[i];
		list[i] = &entries[i];
	}
	m.settings = list;
	m.n_settings = N_TRACE_SETTINGS;
	message_answer(c, &m.base);
}

void kserve_trace_setting(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__TraceSettingRequest *q;
	struct message_memory memory;
	bool changes = false;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__trace_setting_request__descriptor, data, n);
	for (size_t i = 0; q && i < q->n_settings; i++)
		changes |= trace_changes(q->settings[i]);
	if (q && changes)
		call_finish(c, GRPC_UNIMPLEMENTED,
			"traces are not recorded here: trace settings can be read alone");
	else if (q)
		answer_trace(c);
	message_memory_deinit(&memory);
}

/* --- Logging ---------------------------------------------------------------------------------- */

typedef Inference__LogSettingsResponse__SettingsEntry LogEntry;
typedef Inference__LogSettingsResponse__SettingValue LogValue;

enum log_setting {
	LOG_FILE,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR,
	LOG_VERBOSE,
	LOG_FORMAT,
	LOG_SETTINGS_,
};

static const char *const log_keys[LOG_SETTINGS_] = {
	[LOG_FILE] = "log_file",
	[LOG_INFO] = "log_info",
	[LOG_WARNING] = "log_warning",
	[LOG_ERROR] = "log_error",
	[LOG_VERBOSE] = "log_verbose_level",
	[LOG_FORMAT] = "log_format",
};

static void set_bool(LogValue *v, bool value)
{
	v->bool_param = value;
	v->parameter_choice_case =
		INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_BOOL_PARAM;
}

static void set_text(LogValue *v, const char *value)
{
	v->string_param = (char *)value;
	v->parameter_choice_case =
		INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_STRING_PARAM;
}

static void fill_log(LogValue *values)
{
	set_text(&values[LOG_FILE], "");
	set_bool(&values[LOG_INFO], log_level() >= LOG_LEVEL_INFO);
	set_bool(&values[LOG_WARNING], log_level() >= LOG_LEVEL_WARNING);
	set_bool(&values[LOG_ERROR], true);
	values[LOG_VERBOSE].uint32_param = log_level() >= LOG_LEVEL_DEBUG ? 1 : 0;
	values[LOG_VERBOSE].parameter_choice_case =
		INFERENCE__LOG_SETTINGS_RESPONSE__SETTING_VALUE__PARAMETER_CHOICE_UINT32_PARAM;
	set_text(&values[LOG_FORMAT], "default");
}

static void answer_log(struct call *c)
{
	Inference__LogSettingsResponse m = INFERENCE__LOG_SETTINGS_RESPONSE__INIT;
	LogEntry entries[LOG_SETTINGS_];
	LogEntry *list[LOG_SETTINGS_];
	LogValue values[LOG_SETTINGS_];

	for (size_t i = 0; i < LOG_SETTINGS_; i++) {
		inference__log_settings_response__settings_entry__init(&entries[i]);
		inference__log_settings_response__setting_value__init(&values[i]);
		entries[i].key = (char *)log_keys[i];
		entries[i].value = &values[i];
		list[i] = &entries[i];
	}
	fill_log(values);
	m.settings = list;
	m.n_settings = LOG_SETTINGS_;
	message_answer(c, &m.base);
}

/* The first setting of the request that there is; NULL: none. */
static const char *log_setting_of(const Inference__LogSettingsRequest *q)
{
	for (size_t i = 0; i < q->n_settings; i++) {
		for (size_t k = 0; k < LOG_SETTINGS_; k++) {
			if (!strcmp(q->settings[i]->key, log_keys[k]))
				return log_keys[k];
		}
	}
	return NULL;
}

void kserve_log_settings(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__LogSettingsRequest *q;
	struct message_memory memory;
	const char *key;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__log_settings_request__descriptor, data, n);
	key = q ? log_setting_of(q) : NULL;
	if (key && !strcmp(key, log_keys[LOG_FILE]))
		call_finish(c, GRPC_UNIMPLEMENTED,
			"log file location can not be updated through network protocol");
	else if (key)
		call_finishf(c, GRPC_UNIMPLEMENTED,
			"%s can not be updated through network protocol: [server] log_level", key);
	else if (q)
		answer_log(c);
	message_memory_deinit(&memory);
}
