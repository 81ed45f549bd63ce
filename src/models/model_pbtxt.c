/* model_pbtxt.c: Triton's words into ours. Daemon process, any thread. */
#include "models/model_pbtxt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "models/claims_pbtxt.h"
#include "models/instance_pbtxt.h"
#include "models/label_files.h"
#include "models/layout.h"
#include "models/pbtxt.h"
#include "models/queue_pbtxt.h"
#include "models/sequence_pbtxt.h"
#include "models/warmup_pbtxt.h"
#include "pool/pool.h"
#include "proto/kserve/model_config.pb-c.h"

#define FILE_BYTES_MAX	  (1u << 20)
#define MESSAGE_BYTES_MAX (4u << 20)
#define MODEL_FILE	  "model.onnx"
#define BATCH_SIZE_MAX	  65536

typedef Inference__ModelConfig Config;

struct mapping {
	const Config *config;			/* borrow */
	uint64_t present;			/* fields of it that were there */
	const unsigned *lines;			/* borrow: of these; NULL: there are none */
	struct model_conf *conf;		/* borrow */
	const struct models_settings *settings; /* borrow */
	const char *file;			/* borrow: in messages */
	const char *directory;			/* borrow: of the model */
	char *ignored;				/* own */
	char *text;				/* borrow */
	size_t cap;
};

static bool has(const struct mapping *m, unsigned number)
{
	return m->present & UINT64_C(1) << number;
}

/* Of "dynamic_batching.priority_levels": that of dynamic_batching. 0: none is known. */
static unsigned line_of(const struct mapping *m, const char *field)
{
	const ProtobufCMessageDescriptor *type = m->config->base.descriptor;
	size_t n = strcspn(field, ". ");

	for (unsigned i = 0; m->lines && i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];

		if (f->id < 64 && !strncmp(f->name, field, n) && !f->name[n])
			return m->lines[f->id];
	}
	return 0;
}

/* One behind the other. */
static int wrong(struct mapping *m, const char *field, const char *what)
{
	size_t n = strlen(m->text);
	unsigned line = line_of(m, field);
	char where[16] = "";

	if (line > 0)
		snprintf(where, sizeof(where), ":%u", line);
	snprintf(m->text + n, m->cap - n, "%s%s%s: %s: %s", n ? "; " : "", m->file, where, field,
		what);
	return MODEL_PBTXT_E_INVALID;
}

/* --- Name and backend ----------------------------------------------------------------------------- */

static int map_name(struct mapping *m)
{
	if (!*m->config->name || !strcmp(m->config->name, m->conf->settings.name))
		return 0;
	return wrong(m, "name", "is not the name of the model's directory");
}

/* What Triton calls a platform says which backend it is. */
static int map_backend(struct mapping *m)
{
	const char *backend = m->config->backend;
	const char *platform = m->config->platform;

	if (!*backend && !*platform)
		return 0;
	if (!*backend && strcmp(platform, "onnxruntime_onnx") != 0)
		return wrong(m, "platform",
			"is none that is served here: onnxruntime_onnx is, or name a backend");
	backend = *backend ? backend : "onnxruntime";
	if (strspn(backend, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(backend))
		return wrong(m, "backend", "a backend's name has only a-z, 0-9, _ and -");
	return model_conf_replace(&m->conf->settings.backend, backend);
}

static int map_file(struct mapping *m)
{
	const char *name = m->config->default_model_filename;

	return !*name || !strcmp(name, MODEL_FILE)
		       ? 0
		       : wrong(m, "default_model_filename",
				 "the file is called " MODEL_FILE " here: rename it");
}

/* --- Versions ------------------------------------------------------------------------------------- */

static int map_specific(struct mapping *m, const Inference__ModelVersionPolicy__Specific *specific)
{
	struct version_policy *p = &m->conf->versions;

	p->kind = VERSION_POLICY_SPECIFIC;
	p->numbers = calloc(specific->n_versions + 1, sizeof(*p->numbers));
	if (!p->numbers)
		return -ENOMEM;
	for (size_t i = 0; i < specific->n_versions; i++) {
		if (specific->versions[i] < 1)
			return wrong(m, "version_policy", "a version is a number from 1");
		p->numbers[p->n_numbers++] = (uint64_t)specific->versions[i];
	}
	return 0;
}

static int map_versions(struct mapping *m)
{
	const Inference__ModelVersionPolicy *policy = m->config->version_policy;

	if (!policy)
		return 0;
	version_policy_release(&m->conf->versions);
	switch (policy->policy_choice_case) {
	case INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_LATEST:
		m->conf->versions.count = policy->latest->num_versions;
		return 0;
	case INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_ALL:
		m->conf->versions.kind = VERSION_POLICY_ALL;
		return 0;
	case INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_SPECIFIC:
		return map_specific(m, policy->specific);
	default:
		return 0;
	}
}

/* --- Scheduling: what would be answered wrongly without it ------------------------------------------ */

static int map_sequences(struct mapping *m)
{
	struct version_settings *s = &m->conf->settings;
	struct pbtxt_error error = {0};
	char field[128];
	int r;

	free(s->sequence);
	s->sequence = NULL;
	r = sequence_pbtxt_map(m->config->sequence_batching, &s->sequence, &error);
	if (r == SEQUENCE_PBTXT_E_INVALID) {
		snprintf(field, sizeof(field), "sequence_batching.%s", error.field);
		return wrong(m, field, error.what);
	}
	if (r)
		return r;
	/* What a batch has in front decides on the shapes of control inputs. */
	if (!has(m, 4))
		s->max_batch_size = 0;
	s->stateful = true;
	return 0;
}

static int map_scheduling(struct mapping *m)
{
	switch (m->config->scheduling_choice_case) {
	case INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_SEQUENCE_BATCHING:
		return map_sequences(m);
	case INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_ENSEMBLE_SCHEDULING:
		return wrong(m, "ensemble_scheduling", "is not served here");
	default:
		return 0;
	}
}

/* --- Batches -------------------------------------------------------------------------------------- */

static int map_queue(struct mapping *m, const Inference__ModelDynamicBatching *d)
{
	struct pbtxt_error error = {0};
	char field[128];
	int r = queue_pbtxt_map(d, &m->conf->settings, &error);

	if (r != QUEUE_PBTXT_E_INVALID)
		return r;
	snprintf(field, sizeof(field), "dynamic_batching.%s", error.field);
	return wrong(m, field, error.what);
}

static int map_batching(struct mapping *m)
{
	bool dynamic = m->config->scheduling_choice_case ==
		       INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_DYNAMIC_BATCHING;

	if (has(m, 4)) {
		if (m->config->max_batch_size < 0 || m->config->max_batch_size > BATCH_SIZE_MAX)
			return wrong(m, "max_batch_size", "a number from 0 to 65536 is expected");
		m->conf->settings.max_batch_size = (uint32_t)m->config->max_batch_size;
	}
	return dynamic ? map_queue(m, m->config->dynamic_batching) : 0;
}

/* --- Instances ------------------------------------------------------------------------------------ */

static int map_instances(struct mapping *m)
{
	const char *what = "";
	int r = instance_pbtxt_map(
		m->config, m->settings, &m->conf->settings, m->file, &m->ignored, &what);

	return r == INSTANCE_PBTXT_E_INVALID ? wrong(m, "instance_group", what) : r;
}

/* --- Labels --------------------------------------------------------------------------------------- */

static int map_labels(struct mapping *m)
{
	struct version_settings *s = &m->conf->settings;
	char what[512];
	int r;

	free(s->labels);
	s->labels = NULL;
	r = label_files_read(m->directory, m->config, &s->labels, what, sizeof(what));
	return r == LABEL_FILES_E_INVALID ? wrong(m, "output.label_filename", what) : r;
}

/* --- Tensors -------------------------------------------------------------------------------------- */

/* The model declares them itself: what is said here is compared with that when it is loaded. */
static int map_claims(struct mapping *m)
{
	struct version_settings *s = &m->conf->settings;

	free(s->claims);
	return claims_pbtxt_map(m->config, &s->claims);
}

/* --- Parameters ----------------------------------------------------------------------------------- */

static int map_parameters(struct mapping *m)
{
	struct version_settings *s = &m->conf->settings;
	size_t n = m->config->n_parameters;
	struct wire_pair *pairs;

	if (n == 0)
		return 0;
	if (n > WIRE_PAIRS_MAX)
		return wrong(m, "parameters", "too many: at most 64 are allowed");
	pairs = calloc(n, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;
	s->parameters = pairs;
	s->n_parameters = n;
	for (size_t i = 0; i < n; i++) {
		const Inference__ModelConfig__ParametersEntry *e = m->config->parameters[i];

		pairs[i].key = strdup(e->key);
		pairs[i].value = strdup(e->value ? e->value->string_value : "");
		if (!pairs[i].key || !pairs[i].value)
			return -ENOMEM;
		if (strlen(e->key) > WIRE_NAME_MAX || strlen(pairs[i].value) > WIRE_TEXT_MAX)
			return wrong(m, "parameters", "a name or a value is too long");
	}
	return 0;
}

/* --- Warm-ups ------------------------------------------------------------------------------------- */

static int map_warmups(struct mapping *m)
{
	const char *what = "";
	char field[64];
	size_t n = 0;
	int r = 0;

	while (!r && n < m->config->n_model_warmup) {
		const Inference__ModelWarmup *w = m->config->model_warmup[n++];

		r = warmup_pbtxt_map(w, n, &m->conf->settings, &what);
	}
	snprintf(field, sizeof(field), "model_warmup %zu", n);
	return r == WARMUP_PBTXT_E_INVALID ? wrong(m, field, what) : r;
}

/* --- What does nothing here ----------------------------------------------------------------------- */

/* What a model declares itself holds, also where model_transaction_policy says something else. */
static bool is_acted_on(unsigned number)
{
	static const unsigned numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 16, 17, 19};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (numbers[i] == number)
			return true;
	}
	return false;
}

static void add_name(char *names, size_t cap, const char *name)
{
	size_t n = strlen(names);

	if (n + strlen(name) + 3 < cap)
		snprintf(names + n, cap - n, "%s%s", n ? ", " : "", name);
}

static int name_ignored(struct mapping *m)
{
	const ProtobufCMessageDescriptor *type = m->config->base.descriptor;
	const char *name;
	char names[512] = "";

	for (size_t i = 0; (name = instance_pbtxt_ignored(m->config, i)); i++)
		add_name(names, sizeof(names), name);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];

		if (has(m, f->id) && !is_acted_on(f->id))
			add_name(names, sizeof(names), f->name);
	}
	return *names ? layout_add_odd(&m->ignored, "%s: not acted on: %s", m->file, names) : 0;
}

static int map(struct mapping *m)
{
	static int (*const steps[])(struct mapping * m) = {map_name, map_backend, map_file,
		map_versions, map_scheduling, map_batching, map_instances, map_labels, map_claims,
		map_parameters, map_warmups, name_ignored};
	bool is_wrong = false;

	*m->text = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = steps[i](m);

		if (r < 0)
			return r;
		is_wrong |= r > 0;
	}
	return is_wrong ? MODEL_PBTXT_E_INVALID : 0;
}

/* --- Reading -------------------------------------------------------------------------------------- */

static int read_file(const char *file, struct buf *content, char *text, size_t cap)
{
	FILE *in = fopen(file, "re");
	uint8_t block[4096];
	size_t n;
	int r = 0;

	if (!in) {
		snprintf(text, cap, "%s: cannot be opened: %s", file, strerror(errno));
		return MODEL_PBTXT_E_INVALID;
	}
	while (!r && (n = fread(block, 1, sizeof(block), in)) > 0)
		r = buf_append(content, block, n);
	if (!r && ferror(in)) {
		snprintf(text, cap, "%s: cannot be read: %s", file, strerror(errno));
		r = MODEL_PBTXT_E_INVALID;
	}
	fclose(in);
	return r;
}

static int too_large(const char *file, char *text, size_t cap)
{
	snprintf(text, cap, "%s: is larger than %u bytes", file, FILE_BYTES_MAX);
	return MODEL_PBTXT_E_INVALID;
}

/* Each of its lines with the file in front, one behind the other. */
static void join(const char *file, const char *what, char *text, size_t cap)
{
	size_t at = 0;

	for (size_t n; *what && at < cap; what += n + (what[n] == '\n')) {
		n = strcspn(what, "\n");
		at += (size_t)snprintf(
			text + at, cap - at, "%s%s:%.*s", at ? "; " : "", file, (int)n, what);
	}
}

static int parse(const struct buf *content, const char *file, struct buf *wire,
	struct pbtxt_fields *fields, char *text, size_t cap)
{
	char what[2048];
	int r = pbtxt_read(&inference__model_config__descriptor, (const char *)content->data,
		content->len, wire, fields, what, sizeof(what));

	if (r == PBTXT_E_INVALID)
		join(file, what, text, cap);
	if (r == -ENOBUFS)
		return too_large(file, text, cap);
	return r == PBTXT_E_INVALID ? MODEL_PBTXT_E_INVALID : r;
}

int model_pbtxt_map(const struct model_pbtxt_message *message, struct model_conf *conf,
	const struct models_settings *settings, char **ret_ignored, char *text, size_t cap)
{
	struct mapping m = {.present = message->present,
		.lines = message->lines,
		.conf = conf,
		.settings = settings,
		.file = message->origin,
		.directory = message->directory,
		.text = text,
		.cap = cap};
	Config *config = inference__model_config__unpack(NULL, message->n, message->data);
	int r;

	if (!config)
		return -ENOMEM;
	m.config = config;
	r = map(&m);
	inference__model_config__free_unpacked(config, NULL);
	if (r) {
		free(m.ignored);
		return r;
	}
	*ret_ignored = m.ignored;
	return 0;
}

int model_pbtxt_read(const char *file, struct model_conf *conf,
	const struct models_settings *settings, char **ret_ignored, char *text, size_t cap)
{
	const char *slash = strrchr(file, '/');
	_cleanup_(freep) char *directory =
		slash ? strndup(file, (size_t)(slash - file)) : strdup(".");
	_cleanup_(buf_deinit) struct buf content = {.max = FILE_BYTES_MAX};
	_cleanup_(buf_deinit) struct buf wire = {.max = MESSAGE_BYTES_MAX};
	struct model_pbtxt_message message = {.origin = file, .directory = directory};
	struct pbtxt_fields fields;
	int r = directory ? read_file(file, &content, text, cap) : -ENOMEM;

	if (!r)
		r = parse(&content, file, &wire, &fields, text, cap);
	if (r)
		return r == -ENOBUFS ? too_large(file, text, cap) : r;
	message.present = fields.present;
	message.lines = fields.line;
	message.data = wire.data;
	message.n = wire.len;
	return model_pbtxt_map(&message, conf, settings, ret_ignored, text, cap);
}
