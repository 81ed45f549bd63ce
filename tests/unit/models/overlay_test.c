/* Tests of overlay.c: what callers may say of settings, and what becomes of it. */
#include "models/overlay.h"

#include <stdint.h>

#include "base/spool.h"
#include "models/entry.h"
#include "models/overlay_bytes.h"
#include "models/pbtxt.h"
#include "pool/pool.h"
#include "proto/kserve/model_config.pb-c.h"
#include "tests/support/failalloc.h"
#include "tree.h"

static const struct pool_place places[] = {{"cpu:0", 1}, {"cuda:0", 1}};
static const struct models_settings settings = {
	.defaults = {.max_queue_size = 1024, .run_timeout_ms = 60000},
	.places = places,
	.n_places = 2,
};
static char text[1024];

TestSuite(overlay, .init = tree_make, .fini = tree_remove);

static struct overlay *keys(const struct wire_pair *pairs, size_t n)
{
	struct overlay *o = NULL;

	cr_assert_eq(overlay_new_keys(&o, pairs, n, text, sizeof(text)), 0, "%s", text);
	return o;
}

static struct overlay *key(const char *name, const char *value)
{
	return keys(&(struct wire_pair){name, value}, 1);
}

static struct overlay *config(const char *pbtxt)
{
	_cleanup_(buf_deinit) struct buf wire = {.max = 1u << 16};
	struct overlay *o = NULL;
	struct pbtxt_fields fields;

	cr_assert_eq(pbtxt_read(&inference__model_config__descriptor, pbtxt, strlen(pbtxt), &wire,
			     &fields, text, sizeof(text)),
		0, "%s", text);
	cr_assert_eq(
		overlay_new_config(&o, wire.data, wire.len, fields.present, text, sizeof(text)), 0);
	return o;
}

/* Steals o. The caller releases. */
static struct repository_entry read_with(struct overlay *o)
{
	struct repository_entry e = {0};

	cr_assert_eq(entry_read(&e, &settings, o, root, "m"), 0);
	overlay_unref(o);
	return e;
}

/* Steals o. */
static void wrong(struct overlay *o, const char *why)
{
	struct repository_entry e = read_with(o);

	cr_assert_not_null(e.error);
	cr_expect_str_eq(e.error, in_tree(why));
	cr_expect(e.wrong_overlay);
	entry_release(&e);
}

/* Of a model of builtin. */
static void unknown(const char *name, const char *value)
{
	struct repository_entry e;
	char why[64];

	put("m/model.conf", "[model]\nbackend = builtin\n");
	snprintf(why, sizeof(why), "config '%s' = '%s': is no setting that a load may have", name,
		value);
	e = read_with(key(name, value));
	cr_expect(e.error && strstr(e.error, why) && e.wrong_overlay, "%s", e.error);
	entry_release(&e);
}

static void refused(const char *name, const char *value, const char *why)
{
	struct overlay *o = NULL;

	cr_expect_eq(overlay_new_keys(&o, &(struct wire_pair){name, value}, 1, text, sizeof(text)),
		OVERLAY_E_INVALID);
	cr_expect(strstr(text, why), "%s", text);
	cr_expect_null(o);
}

/* --- Keys ----------------------------------------------------------------------------------------- */

Test(overlay, keys_go_over_what_the_files_say)
{
	static const struct wire_pair pairs[] = {
		{"max_batch_size", "8"}, {"intra_op_threads", "2"}, {"instances", "3"}};
	struct repository_entry e;
	const struct version_settings *s;

	put("m/1/model.onnx", "x");
	put("m/2/model.onnx", "x");
	put("m/model.conf", "[model]\nversion = all\nmax_batch_size = 4\nmax_queue_size = 9\n"
			    "[parameters]\nintra_op_threads = 1\nspin = yes\n");
	e = read_with(keys(pairs, 3));
	cr_assert_null(e.error, "%s", e.error);
	cr_assert_eq(e.n_versions, 2);
	s = &e.versions[1].settings;
	cr_expect(e.versions[1].chosen);
	cr_expect_eq(s->max_batch_size, 8);
	cr_expect_eq(s->instances, 3);
	cr_expect_eq(s->max_queue_size, 9);
	cr_assert_eq(s->n_parameters, 2);
	cr_expect_str_eq(s->parameters[0].value, "2");
	cr_expect_str_eq(s->parameters[1].value, "yes");
	entry_release(&e);
}

Test(overlay, keys_and_values_that_are_refused)
{
	static const struct wire_pair twice[] = {{"instances", "1"}, {"instances", "2"}};
	struct wire_pair many[WIRE_PAIRS_MAX + 1] = {0};
	struct overlay *o;

	unknown("colour", "red");
	unknown("", "");
	unknown("backend", "python");
	unknown("isolation", "device");
	unknown("custom_op_libraries", "/tmp/x.so");
	unknown("caller_parameters", "colour");
	refused("instances", "0",
		"config 'instances' = '0': '0' is no whole number from 1 to 1024");
	refused("spin", "fast", "config 'spin' = 'fast': yes or no is expected");
	refused("devices", "", "config 'devices' = ''");
	refused("colour", "\xff", "config 'colour' = '\xff': is not valid UTF-8");
	cr_expect_eq(overlay_new_keys(&o, twice, 2, text, sizeof(text)), OVERLAY_E_INVALID);
	cr_expect_str_eq(text, "config 'instances' = '2': is set twice");
	cr_expect_eq(overlay_new_keys(&o, many, WIRE_PAIRS_MAX + 1, text, sizeof(text)),
		OVERLAY_E_INVALID);
	cr_expect_str_eq(text, "config has 65 entries, and at most 64 are allowed");
}

Test(overlay, a_model_stays_on_the_devices_of_its_files)
{
	put("m/model.conf", "[model]\nbackend = builtin\ndevices = cpu:0 x2\n");
	wrong(key("devices", "cpu:0, cuda:0"),
		"config devices 'cuda:0': the model's files let it be on 'cpu:0 x2'");
	put("m/model.conf", "[model]\nbackend = builtin\ndevices = cpu:0\nfallback = cuda:0\n");
	struct repository_entry e = read_with(key("devices", "cpu:0 x4,cuda:0"));
	cr_expect_str_eq(e.versions[0].settings.devices, "cpu:0 x4,cuda:0");
	entry_release(&e);
}

Test(overlay, devices_that_there_are_not)
{
	put("m/model.conf", "[model]\nbackend = builtin\n");
	wrong(key("devices", "cuda:7"),
		"config devices 'cuda:7': there is no worker on any of them "
		"([worker] workers)");
}

Test(overlay, a_parameter_of_another_backend)
{
	put("m/model.conf", "[model]\nbackend = builtin\n");
	wrong(key("spin", "yes"),
		"config 'spin' = 'yes': means nothing to the model's backend 'builtin'");
}

Test(overlay, parameters_that_a_model_leaves_to_callers)
{
	struct repository_entry e;

	put("m/model.conf", "[model]\nbackend = builtin\ncaller_parameters = colour, top_k\n"
			    "[parameters]\ncolour = red\n");
	e = read_with(key("colour", "blue"));
	cr_assert_null(e.error, "%s", e.error);
	cr_expect_str_eq(e.versions[0].settings.parameters[0].value, "blue");
	entry_release(&e);
	e = read_with(config("parameters { key: 'top_k' value { string_value: '3' } }"));
	cr_assert_null(e.error, "%s", e.error);
	cr_expect_str_eq(e.versions[0].settings.caller_parameters, "colour,top_k");
	entry_release(&e);
	e = read_with(key("colour,top_k", "x"));
	cr_expect(e.wrong_overlay);
	entry_release(&e);
}

/* --- A whole configuration ------------------------------------------------------------------------ */

Test(overlay, a_configuration_in_place_of_the_files)
{
	struct repository_entry e;
	const struct version_settings *s;

	put("m/1/model.onnx", "x");
	put("m/2/model.onnx", "x");
	put("m/config.pbtxt",
		"max_batch_size: 4 dynamic_batching { max_queue_delay_microseconds: 7 } "
		"parameters { key: 'spin' value { string_value: 'yes' } }");
	e = read_with(config("max_batch_size: 16 version_policy { specific { versions: 1 } } "
			     "parameters { key: 'arena' value { string_value: 'no' } }"));
	cr_assert_null(e.error, "%s", e.error);
	s = &e.versions[1].settings;
	cr_expect(e.versions[1].chosen && !e.versions[0].chosen);
	cr_expect_eq(s->max_batch_size, 16);
	cr_expect_eq(s->max_queue_delay_us, 0);
	cr_assert_eq(s->n_parameters, 1);
	cr_expect_str_eq(s->parameters[0].key, "arena");
	entry_release(&e);
}

/* What has no word there stays as the files have it. */
Test(overlay, a_configuration_leaves_a_model_where_it_lives)
{
	struct repository_entry e;
	const struct version_settings *s;

	put("m/model.conf", "[model]\nbackend = builtin\nisolation = model\nrun_timeout_ms = 5\n"
			    "stateful = yes\n[parameters]\nfunction = count\n");
	e = read_with(config("backend: 'builtin' parameters { key: 'function' value { "
			     "string_value: 'count' } }"));
	cr_assert_null(e.error, "%s", e.error);
	s = &e.versions[0].settings;
	cr_expect_eq(s->isolation, ISOLATION_MODEL);
	cr_expect_eq(s->run_timeout_ms, 5);
	cr_expect(s->stateful);
	cr_expect_str_eq(s->backend, "builtin");
	cr_expect_str_eq(s->parameters[0].value, "count");
	entry_release(&e);
	e = read_with(config("max_batch_size: 3"));
	cr_expect_str_eq(e.versions[0].settings.backend, "builtin");
	entry_release(&e);
}

Test(overlay, what_a_configuration_may_not_say)
{
	put("m/1/model.onnx", "x");
	put("m/model.conf", "[model]\nbackend = onnxruntime\ndevices = cpu:0\n"
			    "[parameters]\nintra_op_threads = 1\n");
	wrong(config("name: 'x'"), "config: name: is not the name of the model's directory");
	wrong(config("backend: 'python'"),
		"config backend 'python': the model's files say 'onnxruntime'");
	wrong(config("instance_group { kind: KIND_GPU gpus: 0 }"),
		"config devices 'cuda:0': the model's files let it be on 'cpu:0'");
	wrong(config("parameters { key: 'custom_op_libraries' value { string_value: 'x.so' } }"),
		"config 'custom_op_libraries' = 'x.so': is no parameter that a load may have, "
		"unless "
		"the model's files say the same");
	wrong(config("parameters { key: 'intra_op_threads' value { string_value: 'x' } }"),
		"config 'intra_op_threads' = 'x': a number from 0 to 1024 is expected");
	wrong(config("output { name: 'o' label_filename: '../../secret' }"),
		"config: output.label_filename: '../../secret': a path below the model's directory "
		"is "
		"expected");
}

Test(overlay, a_configuration_reads_no_labels_but_those_of_the_files)
{
	struct repository_entry e;
	static const char *const of_m = "output { name: 'o' label_filename: 'labels' }";

	put("m/1/model.onnx", "x");
	put("m/labels", "cat\ndog\n");
	put("m/secret", "key\n");
	put("m/config.pbtxt", of_m);
	e = read_with(config(of_m));
	cr_assert_null(e.error, "%s", e.error);
	entry_release(&e);
	wrong(config("output { name: 'o' label_filename: 'secret' }"),
		"config output.label_filename: the model's files name other labels");
}

Test(overlay, a_configuration_in_json)
{
	static const char json[] = "{\"maxBatchSize\": 4}";
	static const char bad[] = "{\"max_batch_size\": \"x\"}";
	struct overlay *a = config("max_batch_size: 4"), *b = NULL;

	cr_assert_eq(overlay_new_json(&b, json, strlen(json), text, sizeof(text)), 0, "%s", text);
	cr_expect(overlay_equal(a, b));
	overlay_unref(a);
	b = overlay_unref(b);
	cr_expect_eq(overlay_new_json(&b, bad, strlen(bad), text, sizeof(text)), OVERLAY_E_INVALID);
	cr_expect_str_eq(text, "config: 'x' is no value of max_batch_size");
	cr_expect_null(b);
}

Test(overlay, a_configuration_in_json_that_is_too_large)
{
	static char json[OVERLAY_BYTES_MAX + 64];
	struct overlay *o = NULL;
	size_t n = (size_t)snprintf(json, sizeof(json), "{\"backend\": \"");

	memset(json + n, 'x', OVERLAY_BYTES_MAX);
	n += OVERLAY_BYTES_MAX;
	n += (size_t)snprintf(json + n, sizeof(json) - n, "\"}");
	cr_expect_eq(overlay_new_json(&o, json, n, text, sizeof(text)), OVERLAY_E_INVALID);
	cr_expect_str_eq(text, "config takes more than 65536 bytes, which are the limit");
	cr_expect_null(o);
}

Test(overlay, a_configuration_that_is_too_large)
{
	static uint8_t large[OVERLAY_BYTES_MAX + 1];
	struct overlay *o;

	cr_expect_eq(overlay_new_config(&o, large, sizeof(large), 0, text, sizeof(text)),
		OVERLAY_E_INVALID);
	cr_expect_str_eq(text, "config takes 65537 bytes, and 65536 are the limit");
}

/* --- Both ----------------------------------------------------------------------------------------- */

Test(overlay, files_that_are_wrong_are_not_the_callers_affair)
{
	struct repository_entry e;

	put("m/model.conf", "[model]\nbackend = builtin\ninstances = 0\n");
	e = read_with(key("instances", "1"));
	cr_expect_not_null(e.error);
	cr_expect_not(e.wrong_overlay);
	entry_release(&e);
}

/* Whoever brings a model's files says all of it; they go with the last version that has them. */
Test(overlay, files_that_callers_bring)
{
	static const struct overlay_file list[] = {{"3/model.py", "pass", 4}};
	const struct overlay_bytes bytes = {.list = list, .n = 1};
	_cleanup_(freep) char *uploads = NULL;
	struct repository_entry e;
	struct overlay *o = config("backend: \"python\"");
	struct spool_dir *d;
	struct spool *s;

	cr_assert_geq(asprintf(&uploads, "%s/uploads", root), 0);
	cr_assert_eq(spool_open(&s, uploads, 100), 0);
	cr_assert(spool_reserve(s, 4));
	cr_assert_eq(spool_dir_new(&d, s, 4), 0);
	put("m/model.conf", "[model]\nbackend = builtin\n");
	cr_assert_eq(overlay_set_files(o, d, &bytes, text, sizeof(text)), 0, "%s", text);
	e = read_with(o);
	cr_expect_null(e.error, "%s", e.error);
	cr_assert_eq(e.n_versions, 1);
	cr_expect_eq(e.versions[0].number, 3);
	cr_expect_str_eq(e.versions[0].settings.backend, "python");
	cr_expect_eq(spool_used(s), 4);
	entry_release(&e);
	spool_settle(s);
	cr_expect_eq(spool_used(s), 0);
	spool_close(s);
}

Test(overlay, the_same)
{
	static const struct wire_pair a[] = {{"instances", "1"}, {"spin", "no"}};
	static const struct wire_pair b[] = {{"spin", "no"}, {"instances", "1"}};
	struct overlay *o[] = {NULL, keys(a, 2), keys(a, 1), key("instances", "2"),
		key("max_queue_size", "1"), config(""), config("max_batch_size: 0"),
		config("max_batch_size: 1")};
	struct overlay *same = keys(b, 2);

	cr_expect(overlay_equal(o[1], same));
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++) {
		for (size_t k = 0; k < sizeof(o) / sizeof(o[0]); k++)
			cr_expect_eq(overlay_equal(o[i], o[k]), i == k, "%zu %zu", i, k);
	}
	for (size_t i = 0; i < sizeof(o) / sizeof(o[0]); i++)
		overlay_unref(o[i]);
	overlay_unref(same);
}

Test(overlay, of_several_models)
{
	struct overlays all = {0};
	static const char names[][2] = {"e", "b", "f", "a", "d", "c"};
	struct overlay *o = key("instances", "1");

	cr_expect_null(overlays_find(NULL, "a"));
	cr_expect_null(overlays_find(&all, "a"));
	for (size_t i = 0; i < 6; i++)
		cr_assert_eq(overlays_add(&all, names[i], names[i][0] == 'c' ? NULL : o), 0);
	overlays_sort(&all);
	overlay_unref(o);
	cr_expect_eq(overlays_find(&all, "a"), o);
	cr_expect_eq(overlays_find(&all, "f"), o);
	cr_expect_null(overlays_find(&all, "c"));
	overlays_release(&all);
	cr_expect_null(overlays_find(&all, "a"));
}

static int life(void *arg)
{
	static const struct wire_pair pairs[] = {{"instances", "3"}, {"delay_ms", "1"}};
	static const uint8_t whole[] = {0x20, 3}; /* max_batch_size: 3 */
	bool keyed = arg != NULL;
	struct overlays all = {0};
	struct repository_entry e = {0};
	struct overlay *o = NULL;
	int r = keyed ? overlay_new_keys(&o, pairs, 2, text, sizeof(text))
		      : overlay_new_config(&o, whole, 2, 1 << 4, text, sizeof(text));

	if (!r)
		r = overlays_add(&all, "m", o);
	overlay_unref(o);
	if (!r)
		r = entry_read(&e, &settings, overlays_find(&all, "m"), root, "m");
	cr_expect(r == 0 || r == -ENOMEM);
	cr_expect_null(e.error);
	entry_release(&e);
	overlays_release(&all);
	return r;
}

static int life_of_json(void *arg)
{
	static const char json[] = "{\"instance_group\": [{\"count\": 2}]}";
	struct overlay *o = NULL;
	int r = overlay_new_json(&o, json, strlen(json), text, sizeof(text));

	(void)arg;
	cr_expect(r == 0 || r == -ENOMEM);
	overlay_unref(o);
	return r;
}

Test(overlay, every_failure_leaves_nothing_behind)
{
	bool keyed = true;

	put("m/model.conf", "[model]\nbackend = builtin\n");
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
	FAULT_LOOP_KINDS(life, &keyed, FAIL_ALLOCATIONS);
	FAULT_LOOP_KINDS(life_of_json, NULL, FAIL_ALLOCATIONS);
}
