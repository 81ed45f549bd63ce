/*
 * model_conf.c: one model's model.conf into its settings. Daemon process, any thread.
 */
#include "models/model_conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "models/conf_file.h"
#include "models/queue_conf.h"
#include "models/warmup_conf.h"

#define DAY_MS	      UINT64_C(86400000)
#define INSTANCES_MAX 1024

enum key_type {
	KEY_BACKEND,
	KEY_VERSION,
	KEY_DEVICES,
	KEY_NAMES,
	KEY_PRIORITY,
	KEY_U32,
	KEY_U64,
	KEY_BOOL,
	KEY_ISOLATION,
};

struct model_key {
	const char *name;
	enum key_type type;
	size_t offset; /* of the field in struct version_settings */
	uint64_t min;
	uint64_t max;
};

#define AT(field) offsetof(struct version_settings, field)

static const struct model_key keys[] = {
	{"backend", KEY_BACKEND, AT(backend), 0, 0},
	{"version", KEY_VERSION, 0, 0, 0},
	{"devices", KEY_DEVICES, AT(devices), 0, 0},
	{"fallback", KEY_DEVICES, AT(fallback), 0, 0},
	{"caller_parameters", KEY_NAMES, AT(caller_parameters), 0, 0},
	{"gpu_priority", KEY_PRIORITY, 0, 0, 0},
	{"max_batch_size", KEY_U32, AT(max_batch_size), 0, 65536},
	{"max_queue_delay_us", KEY_U64, AT(max_queue_delay_us), 0, 10000000},
	{"max_queue_size", KEY_U32, AT(max_queue_size), 1, 1000000},
	{"instances", KEY_U32, AT(instances), 1, INSTANCES_MAX},
	{"run_timeout_ms", KEY_U64, AT(run_timeout_ms), 1, DAY_MS},
	{"stateful", KEY_BOOL, AT(stateful), 0, 0},
	{"isolation", KEY_ISOLATION, AT(isolation), 0, 0},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

struct parser {
	struct version_settings *model;	 /* borrow */
	struct version_policy *versions; /* borrow */
	const struct conf_line *line;	 /* borrow: the current one */
	bool over;			 /* of a caller: what was said before is replaced */
	bool seen[N_KEYS];
	struct warmup_conf warmup;
	struct queue_conf queue;
	char *text; /* borrow */
	size_t cap;
	int error; /* the last one; what is wrong is in text */
};

int model_conf_replace(const char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free((void *)*field);
	*field = copy;
	return 0;
}

/* One more thing that is wrong, behind others. What does not fit any more is left out whole. */
_printf_(2, 3) static int add_wrong(struct parser *p, const char *format, ...)
{
	size_t n = strlen(p->text);
	char wrong[512];
	va_list ap;
	int length;

	va_start(ap, format);
	length = vsnprintf(wrong, sizeof(wrong), format, ap);
	va_end(ap);
	if (length >= 0 && (n == 0 || strlen(wrong) + 3 < p->cap - n))
		snprintf(p->text + n, p->cap - n, "%s%s", n > 0 ? "; " : "", wrong);
	return MODEL_CONF_E_INVALID;
}

static int invalid(struct parser *p, const char *what)
{
	const struct conf_line *l = p->line;

	if (!p->over)
		return add_wrong(p, "%s: [%s] %s: %s", l->where, l->section, l->key, what);
	snprintf(p->text, p->cap, "%s", what);
	return MODEL_CONF_E_INVALID;
}

static bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_n)
{
	uint64_t n;

	if (decimal_parse(text, &n) || n < min || n > max)
		return false;
	*ret_n = n;
	return true;
}

void model_conf_release(struct model_conf *m)
{
	version_settings_release(&m->settings);
	version_policy_release(&m->versions);
}

static int set_number(struct parser *p, const struct model_key *key)
{
	void *field = (char *)p->model + key->offset;
	char what[128];
	uint64_t n;

	if (!parse_u64(p->line->value, key->min, key->max, &n)) {
		snprintf(what, sizeof(what), "'%.32s' is no whole number from %llu to %llu",
			p->line->value, (unsigned long long)key->min, (unsigned long long)key->max);
		return invalid(p, what);
	}
	if (key->type == KEY_U32)
		*(uint32_t *)field = (uint32_t)n;
	else
		*(uint64_t *)field = n;
	return 0;
}

static int set_bool(struct parser *p, const struct model_key *key)
{
	const char *value = p->line->value;
	bool yes;

	if (bool_parse(value, &yes))
		return invalid(p, "is neither yes nor no");
	*(bool *)((char *)p->model + key->offset) = yes;
	return 0;
}

static int set_isolation(struct parser *p)
{
	if (isolation_parse(p->line->value, &p->model->isolation))
		return 0;
	return invalid(p, "is none of device, model, auto");
}

static int set_backend(struct parser *p)
{
	const char *value = p->line->value;

	if (!*value || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(value))
		return invalid(p, "a backend's name has only a-z, 0-9, _ and -");
	return model_conf_replace(&p->model->backend, value);
}

static int set_version(struct parser *p)
{
	int r = version_policy_parse(p->versions, p->line->value);

	if (r != VERSION_POLICY_E_INVALID)
		return r;
	return invalid(p,
		"'latest', 'latest N', 'all' or numbers from 1 without leading zeros, separated "
		"by commas, are expected");
}

/* Behind a device: a number of instances. */
static bool is_count(const char *text)
{
	char digits[8];
	uint64_t n;
	size_t length = strcspn(text, ",");

	if (*text != 'x' || length < 2 || length > sizeof(digits))
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)length - 1, text + 1);
	return parse_u64(digits, 1, INSTANCES_MAX, &n);
}

static bool counts_are_good(const char *devices)
{
	for (const char *at = strchr(devices, ' '); at; at = strchr(at + 1, ' ')) {
		if (!is_count(at + 1))
			return false;
	}
	return true;
}

/* One space between what is no comma stays. */
static void drop_spaces(char *text)
{
	char *out = text;

	for (const char *at = text; *at;) {
		size_t n = strspn(at, " \t");

		if (n > 0 && out > text && out[-1] != ',' && at[n] && at[n] != ',')
			*out++ = ' ';
		at += n;
		if (*at)
			*out++ = *at++;
	}
	*out = 0;
}

/* Of a list without spaces that mean nothing: is it empty, or one of its words? */
static bool lacks_a_word(const char *list)
{
	size_t n = strlen(list);

	return !n || *list == ',' || list[n - 1] == ',' || strstr(list, ",,");
}

/* Kept without spaces that mean nothing. Whether there are such devices is for the repository to say. */
static int set_devices(struct parser *p, const struct model_key *key)
{
	_cleanup_(freep) char *copy = strdup(p->line->value);

	if (!copy)
		return -ENOMEM;
	drop_spaces(copy);
	if (lacks_a_word(copy))
		return invalid(p, "needs names of devices separated by commas, none empty");
	if (strchr(copy, ' ') && (key->offset != AT(devices) || !counts_are_good(copy)))
		return invalid(p, key->offset == AT(devices)
					  ? "behind a device only a number of instances may stand, "
					    "from x1 to x1024"
					  : "behind a device nothing may stand");
	return model_conf_replace((const char **)(void *)((char *)p->model + key->offset), copy);
}

static int set_names(struct parser *p, const struct model_key *key)
{
	_cleanup_(freep) char *copy = strdup(p->line->value);

	if (!copy)
		return -ENOMEM;
	drop_spaces(copy);
	if (lacks_a_word(copy) || strpbrk(copy, " \t"))
		return invalid(p, "needs names separated by commas, none empty");
	return model_conf_replace((const char **)(void *)((char *)p->model + key->offset), copy);
}

static int set_priority(struct parser *p)
{
	static const char *const words[] = {
		[WIRE_PRIORITY_NORMAL] = "normal",
		[WIRE_PRIORITY_HIGH] = "high",
		[WIRE_PRIORITY_LOW] = "low",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(p->line->value, words[i]) != 0)
			continue;
		p->model->gpu_priority = (enum wire_priority)i;
		return 0;
	}
	return invalid(p, "is none of low, normal, high");
}

static int set_key(struct parser *p)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		if (strcmp(keys[i].name, p->line->key))
			continue;
		if (p->seen[i])
			return invalid(p, "is set twice");
		p->seen[i] = true;
		switch (keys[i].type) {
		case KEY_BACKEND:
			return set_backend(p);
		case KEY_VERSION:
			return set_version(p);
		case KEY_DEVICES:
			return set_devices(p, &keys[i]);
		case KEY_NAMES:
			return set_names(p, &keys[i]);
		case KEY_PRIORITY:
			return set_priority(p);
		case KEY_BOOL:
			return set_bool(p, &keys[i]);
		case KEY_ISOLATION:
			return set_isolation(p);
		case KEY_U32:
		case KEY_U64:
			return set_number(p, &keys[i]);
		}
	}
	return invalid(p, "unknown key");
}

static int add_parameter(struct parser *p)
{
	struct version_settings *m = p->model;
	_cleanup_(freep) char *key = strdup(p->line->key);
	_cleanup_(freep) char *value = strdup(p->line->value);
	struct wire_pair *all;

	if (!key || !value)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_parameters; i++) {
		if (strcmp(m->parameters[i].key, key) != 0)
			continue;
		return p->over ? model_conf_replace(
					 &((struct wire_pair *)m->parameters)[i].value, value)
			       : invalid(p, "is set twice");
	}
	if (m->n_parameters == WIRE_PAIRS_MAX)
		return invalid(p, "too many parameters: at most 64 are allowed");
	all = realloc((void *)m->parameters, (m->n_parameters + 1) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	m->parameters = all;
	all[m->n_parameters++] =
		(struct wire_pair){.key = steal_ptr(key), .value = steal_ptr(value)};
	return 0;
}

static int set_warmup(struct parser *p)
{
	const char *what = "";
	int r = warmup_conf_set(&p->warmup, p->model, p->line, &what);

	return r == WARMUP_CONF_E_INVALID ? invalid(p, what) : r;
}

static int set_queue_key(struct parser *p)
{
	int r = queue_conf_set(&p->queue, p->line->key, p->line->value);

	return r == QUEUE_CONF_E_INVALID ? invalid(p, p->queue.what) : r;
}

static int set_line(struct parser *p)
{
	static const struct {
		const char *name;
		int (*set)(struct parser *p);
	} sections[] = {
		{"model", set_key}, {"parameters", add_parameter}, {"queue", set_queue_key}};
	bool warmup = !strncmp(p->line->section, WARMUP_CONF_SECTION, strlen(WARMUP_CONF_SECTION));
	int (*set)(struct parser * p) = warmup ? set_warmup : NULL;

	if (!*p->line->section)
		return invalid(p, "is in no section: [model] is missing above it");
	for (size_t i = 0; !set && i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!strcmp(p->line->section, sections[i].name))
			set = sections[i].set;
	}
	if (!set)
		return invalid(p, "unknown section");
	if (p->line->continued)
		return invalid(p, "a value may not go on in an indented line");
	return set(p);
}

/* What is wrong only when all is known: of the file, not of a line. */
static int apply_queue(struct parser *p, const char *file)
{
	int r = queue_conf_apply(&p->queue, p->model);

	if (r != QUEUE_CONF_E_INVALID)
		return r;
	return add_wrong(p, "%s: [queue] %s: %s", file, p->queue.key, p->queue.what);
}

/* Those that come after one that is wrong are looked at, too. */
static bool on_key(void *data, const struct conf_line *line)
{
	struct parser *p = data;
	int e;

	p->line = line;
	e = set_line(p);
	if (e)
		p->error = e;
	return !e || e == MODEL_CONF_E_INVALID;
}

static int read_stream(struct parser *p, FILE *in, const char *file)
{
	char wrong[512];
	int e = conf_file_read(in, file, on_key, p, wrong, sizeof(wrong));

	if (e == CONF_FILE_E_INVALID)
		return add_wrong(p, "%s", wrong);
	return p->error ? p->error : apply_queue(p, file);
}

int model_conf_read(const char *file, struct model_conf *m, char *text, size_t cap)
{
	struct parser p = {
		.model = &m->settings, .versions = &m->versions, .text = text, .cap = cap};
	FILE *in = fopen(file, "re");
	int e;

	if (!in && errno == ENOENT)
		return 0;
	if (!in) {
		snprintf(text, cap, "%s: cannot be opened: %s", file, strerror(errno));
		return MODEL_CONF_E_INVALID;
	}
	*text = 0;
	e = read_stream(&p, in, file);
	fclose(in);
	queue_conf_release(&p.queue);
	return e;
}

int model_conf_set(struct model_conf *m, const char *section, const char *key, const char *value,
	char *text, size_t cap)
{
	const struct conf_line line = {.where = "", .section = section, .key = key, .value = value};
	struct parser p = {.model = &m->settings,
		.versions = &m->versions,
		.line = &line,
		.over = true,
		.text = text,
		.cap = cap};

	return strcmp(section, "model") ? add_parameter(&p) : set_key(&p);
}
