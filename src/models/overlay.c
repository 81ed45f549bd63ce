/* overlay.c: settings of callers. Daemon process; made and counted on the loop thread, applied on any. */
#include "models/overlay.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/comma_list.h"
#include "base/utf8.h"
#include "models/model_conf.h"
#include "models/model_pbtxt.h"
#include "models/overlay_files.h"
#include "models/overlay_rules.h"
#include "models/pbjson.h"
#include "proto/kserve/model_config.pb-c.h"

#define ORIGIN "config"

/* Of one form or of the other. */
struct overlay {
	unsigned n_refs;
	struct wire_pair *pairs; /* own: by key */
	size_t n_pairs;
	uint8_t *config; /* own; NULL: it is keys */
	size_t n_config;
	uint64_t present;
	struct overlay_files *files; /* own; NULL: those of a repository */
};

/* --- Life --------------------------------------------------------------------------------------- */

struct overlay *overlay_ref(struct overlay *o)
{
	if (o)
		o->n_refs++;
	return o;
}

struct overlay *overlay_unref(struct overlay *o)
{
	if (!o || --o->n_refs > 0)
		return NULL;
	for (size_t i = 0; i < o->n_pairs; i++) {
		free((void *)o->pairs[i].key);
		free((void *)o->pairs[i].value);
	}
	free(o->pairs);
	free(o->config);
	overlay_files_free(o->files);
	free(o);
	return NULL;
}

static struct overlay *make(void)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (o)
		o->n_refs = 1;
	return o;
}

bool overlay_is_whole(const struct overlay *o)
{
	return o && o->config;
}

static bool same_pairs(const struct overlay *a, const struct overlay *b)
{
	for (size_t i = 0; i < a->n_pairs; i++) {
		if (strcmp(a->pairs[i].key, b->pairs[i].key) != 0 ||
			strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
			return false;
	}
	return true;
}

bool overlay_equal(const struct overlay *a, const struct overlay *b)
{
	if (!a || !b)
		return a == b;
	if (a->n_pairs != b->n_pairs || a->n_config != b->n_config || a->present != b->present ||
		!a->config != !b->config || a->files != b->files)
		return false;
	return a->config ? !memcmp(a->config, b->config, a->n_config) : same_pairs(a, b);
}

/* --- Keys --------------------------------------------------------------------------------------- */

static int invalid_pair(const struct wire_pair *p, const char *what, char *text, size_t cap)
{
	snprintf(text, cap, ORIGIN " '%.64s' = '%.64s': %s", p->key, p->value, what);
	return OVERLAY_E_INVALID;
}

/* Is it a parameter of the model's own code, which its files leave to callers? */
static bool is_left_to_callers(const struct version_settings *files, const char *key)
{
	return *key && !strchr(key, ',') && files->caller_parameters &&
	       comma_list_has(files->caller_parameters, key);
}

static const char *check_parameter(const struct wire_pair *p)
{
	if (overlay_rules_has_parameter(p->key))
		return overlay_rules_check(p->key, p->value);
	if (strlen(p->value) > WIRE_TEXT_MAX)
		return "is too long";
	return utf8_valid(p->value, strlen(p->value)) ? NULL : "is not valid UTF-8";
}

static int set(struct model_conf *m, const struct wire_pair *p, char *text, size_t cap)
{
	bool is_key = overlay_rules_has_key(p->key);
	const char *wrong = is_key ? NULL : check_parameter(p);
	char what[256];
	int r;

	if (wrong)
		return invalid_pair(p, wrong, text, cap);
	r = model_conf_set(
		m, is_key ? "model" : "parameters", p->key, p->value, what, sizeof(what));
	return r == MODEL_CONF_E_INVALID ? invalid_pair(p, what, text, cap) : r;
}

static int check_known(
	const struct wire_pair *p, const struct version_settings *files, char *text, size_t cap)
{
	char what[512];

	if (overlay_rules_has_key(p->key) || overlay_rules_has_parameter(p->key) ||
		is_left_to_callers(files, p->key))
		return 0;
	snprintf(what, sizeof(what), "is no setting that a load may have: those are %s",
		overlay_rules_names());
	return invalid_pair(p, what, text, cap);
}

static int check_pairs(const struct overlay *o, char *text, size_t cap)
{
	struct model_conf scratch = {0};
	int r = 0;

	for (size_t i = 0; !r && i < o->n_pairs; i++) {
		if (i > 0 && !strcmp(o->pairs[i].key, o->pairs[i - 1].key))
			r = invalid_pair(&o->pairs[i], "is set twice", text, cap);
		if (!r)
			r = set(&scratch, &o->pairs[i], text, cap);
	}
	model_conf_release(&scratch);
	return r;
}

static int compare_pairs(const void *a, const void *b)
{
	return strcmp(((const struct wire_pair *)a)->key, ((const struct wire_pair *)b)->key);
}

static int copy_pairs(struct overlay *o, const struct wire_pair *pairs, size_t n)
{
	o->pairs = calloc(n + 1, sizeof(*o->pairs));
	if (!o->pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct wire_pair *p = &o->pairs[o->n_pairs++];

		p->key = strdup(pairs[i].key);
		p->value = strdup(pairs[i].value);
		if (!p->key || !p->value)
			return -ENOMEM;
	}
	qsort(o->pairs, n, sizeof(*o->pairs), compare_pairs);
	return 0;
}

int overlay_new_keys(struct overlay **ret_overlay, const struct wire_pair *pairs, size_t n,
	char *text, size_t cap)
{
	_cleanup_(overlay_unrefp) struct overlay *o = make();
	int r;

	if (!o)
		return -ENOMEM;
	if (n > WIRE_PAIRS_MAX) {
		snprintf(text, cap, ORIGIN " has %zu entries, and at most %u are allowed", n,
			(unsigned)WIRE_PAIRS_MAX);
		return OVERLAY_E_INVALID;
	}
	r = copy_pairs(o, pairs, n);
	if (!r)
		r = check_pairs(o, text, cap);
	if (!r)
		*ret_overlay = steal_ptr(o);
	return r;
}

/* --- A whole configuration ---------------------------------------------------------------------- */

int overlay_new_config(struct overlay **ret_overlay, const uint8_t *config, size_t n,
	uint64_t present, char *text, size_t cap)
{
	_cleanup_(overlay_unrefp) struct overlay *o = make();

	if (!o)
		return -ENOMEM;
	if (n > OVERLAY_BYTES_MAX) {
		snprintf(text, cap, ORIGIN " takes %zu bytes, and %u are the limit", n,
			OVERLAY_BYTES_MAX);
		return OVERLAY_E_INVALID;
	}
	o->config = malloc(n + 1);
	if (!o->config)
		return -ENOMEM;
	if (n > 0)
		memcpy(o->config, config, n);
	o->n_config = n;
	o->present = present;
	*ret_overlay = steal_ptr(o);
	return 0;
}

int overlay_new_json(
	struct overlay **ret_overlay, const char *json, size_t n, char *text, size_t cap)
{
	_cleanup_(buf_deinit) struct buf wire = {.max = OVERLAY_BYTES_MAX};
	uint64_t present;
	char what[256];

	switch (pbjson_read(&inference__model_config__descriptor, json, n, &wire, &present, what,
		sizeof(what))) {
	case 0:
		return overlay_new_config(ret_overlay, wire.data, wire.len, present, text, cap);
	case PBJSON_E_INVALID:
		snprintf(text, cap, ORIGIN ": %s", what);
		return OVERLAY_E_INVALID;
	case -ENOBUFS:
		snprintf(text, cap, ORIGIN " takes more than %u bytes, which are the limit",
			OVERLAY_BYTES_MAX);
		return OVERLAY_E_INVALID;
	default:
		return -ENOMEM;
	}
}

int overlay_set_files(struct overlay *o, struct spool_dir *dir, const struct overlay_bytes *bytes,
	char *text, size_t cap)
{
	int r;

	assert(overlay_is_whole(o) && !o->files);
	r = overlay_files_new(&o->files, dir, bytes, text, cap);
	return r == OVERLAY_FILES_E_INVALID ? OVERLAY_E_INVALID : r;
}

struct overlay_files *overlay_files(const struct overlay *o)
{
	return o ? o->files : NULL;
}

static bool has_pair(const struct version_settings *s, const struct wire_pair *p)
{
	for (size_t i = 0; i < s->n_parameters; i++) {
		if (!strcmp(s->parameters[i].key, p->key))
			return !strcmp(s->parameters[i].value, p->value);
	}
	return false;
}

/* What the files say already may be said again. */
static int check_parameters(const struct version_settings *s, const struct version_settings *files,
	char *text, size_t cap)
{
	for (size_t i = 0; i < s->n_parameters; i++) {
		const struct wire_pair *p = &s->parameters[i];
		const char *wrong;

		if (has_pair(files, p) || is_left_to_callers(files, p->key))
			continue;
		if (!overlay_rules_has_parameter(p->key))
			return invalid_pair(p,
				"is no parameter that a load may have, unless the model's files "
				"say the same",
				text, cap);
		wrong = overlay_rules_check(p->key, p->value);
		if (wrong)
			return invalid_pair(p, wrong, text, cap);
	}
	return 0;
}

/* Which code runs is not for callers to say. */
static int check_backend(
	struct version_settings *s, const struct version_settings *files, char *text, size_t cap)
{
	if (!files->backend)
		return 0;
	if (!s->backend)
		return model_conf_replace(&s->backend, files->backend);
	if (!strcmp(s->backend, files->backend))
		return 0;
	snprintf(text, cap, ORIGIN " backend '%.64s': the model's files say '%.64s'", s->backend,
		files->backend);
	return OVERLAY_E_INVALID;
}

/* Clients see what is in them: which files they are is not for callers to say. */
static int check_labels(const struct version_settings *s, const struct version_settings *files,
	char *text, size_t cap)
{
	if (!s->labels || labels_equal(s->labels, files->labels))
		return 0;
	snprintf(text, cap, ORIGIN " output.label_filename: the model's files name other labels");
	return OVERLAY_E_INVALID;
}

static int apply_config(const struct overlay *o, struct model_conf *m,
	const struct model_conf *files, const struct models_settings *settings,
	const char *directory, char **ret_ignored, char *text, size_t cap)
{
	const struct model_pbtxt_message message = {.data = o->config,
		.n = o->n_config,
		.present = o->present,
		.origin = ORIGIN,
		.directory = directory};
	int r;

	/* Triton's words have none for these. */
	m->settings.isolation = files->settings.isolation;
	m->settings.run_timeout_ms = files->settings.run_timeout_ms;
	m->settings.stateful = files->settings.stateful;
	if (files->settings.caller_parameters && model_conf_replace(&m->settings.caller_parameters,
							 files->settings.caller_parameters))
		return -ENOMEM;
	r = model_pbtxt_map(&message, m, settings, ret_ignored, text, cap);
	if (r == MODEL_PBTXT_E_INVALID)
		return OVERLAY_E_INVALID;
	/* Who brings the files decides on all of it. */
	if (o->files)
		return r;
	if (!r)
		r = check_backend(&m->settings, &files->settings, text, cap);
	if (!r)
		r = check_labels(&m->settings, &files->settings, text, cap);
	return r ? r : check_parameters(&m->settings, &files->settings, text, cap);
}

/* --- Applying ----------------------------------------------------------------------------------- */

static bool may_be_on(const struct version_settings *files, const char *device)
{
	uint32_t n;

	return comma_list_find(files->devices, device, &n) ||
	       (files->fallback && comma_list_has(files->fallback, device));
}

/* Is each one that the files let the model be on? */
static int check_devices(const struct version_settings *s, const struct version_settings *files,
	char *text, size_t cap)
{
	const char *at = files->devices ? s->devices : NULL;
	char device[64];

	while (at && *at) {
		at += strspn(at, ", ");
		snprintf(device, sizeof(device), "%.*s", (int)strcspn(at, ", "), at);
		at += strcspn(at, ",");
		if (may_be_on(files, device))
			continue;
		snprintf(text, cap, ORIGIN " devices '%s': the model's files let it be on '%.64s'",
			device, files->devices);
		return OVERLAY_E_INVALID;
	}
	return 0;
}

int overlay_apply(const struct overlay *o, struct model_conf *m, const struct model_conf *files,
	const struct models_settings *settings, const char *directory, char **ret_ignored,
	char *text, size_t cap)
{
	int r = 0;

	if (o->config)
		r = apply_config(o, m, files, settings, directory, ret_ignored, text, cap);
	for (size_t i = 0; !r && i < o->n_pairs; i++) {
		r = check_known(&o->pairs[i], &files->settings, text, cap);
		if (!r)
			r = set(m, &o->pairs[i], text, cap);
	}
	return r ? r : check_devices(&m->settings, &files->settings, text, cap);
}

int overlay_check_backend(const struct overlay *o, const char *backend, char *text, size_t cap)
{
	char what[128];

	for (size_t i = 0; i < o->n_pairs; i++) {
		const struct wire_pair *p = &o->pairs[i];

		if (!overlay_rules_has_parameter(p->key) || overlay_rules_fits(p->key, backend))
			continue;
		snprintf(what, sizeof(what), "means nothing to the model's backend '%.64s'",
			backend);
		return invalid_pair(p, what, text, cap);
	}
	return 0;
}

/* --- Those of several models -------------------------------------------------------------------- */

int overlays_add(struct overlays *o, const char *model, struct overlay *overlay)
{
	struct overlay_of *all = o->list;

	if (!overlay)
		return 0;
	if (o->n == o->cap) {
		all = realloc(all, (o->cap * 2 + 4) * sizeof(*all));
		if (!all)
			return -ENOMEM;
		o->list = all;
		o->cap = o->cap * 2 + 4;
	}
	all[o->n++] = (struct overlay_of){.model = model, .overlay = overlay_ref(overlay)};
	return 0;
}

static int compare_models(const void *a, const void *b)
{
	return strcmp(((const struct overlay_of *)a)->model, ((const struct overlay_of *)b)->model);
}

void overlays_sort(struct overlays *o)
{
	if (o->n > 1)
		qsort(o->list, o->n, sizeof(*o->list), compare_models);
}

const struct overlay *overlays_find(const struct overlays *o, const char *model)
{
	const struct overlay_of key = {.model = model};
	const struct overlay_of *found =
		o && o->n ? bsearch(&key, o->list, o->n, sizeof(key), compare_models) : NULL;

	return found ? found->overlay : NULL;
}

void overlays_release(struct overlays *o)
{
	for (size_t i = 0; i < o->n; i++)
		overlay_unref(o->list[i].overlay);
	free(o->list);
	*o = (struct overlays){0};
}
