/* Tests of model_print.c: what is printed is read as the same settings again. */
#include "models/model_print.h"

#include "models/model_conf.h"
#include "models/model_pbtxt.h"
#include "models/repository.h"
#include "pool/pool.h"
#include "tree.h"

static struct pool_place places[] = {{"cpu:0", 1}, {"cuda:0", 1}, {"cuda:1", 1}};
static struct models_settings settings = {.places = places, .n_places = 3};
static char text[1024];
static char printed[16384];

TestSuite(model_print, .init = tree_make, .fini = tree_remove);

static void begin(struct model_conf *m)
{
	*m = (struct model_conf){0};
	m->settings.max_batch_size = UINT32_MAX;
	m->settings.max_queue_size = 77;
	m->settings.max_queue_delay_us = 5;
	m->settings.run_timeout_ms = 1000;
	cr_assert_eq(model_conf_replace(&m->settings.name, "m"), 0);
}

static void read_pbtxt(struct model_conf *m, const char *content)
{
	char *ignored = NULL;
	char file[128];

	put("config.pbtxt", content);
	snprintf(file, sizeof(file), "%s/config.pbtxt", root);
	begin(m);
	cr_assert_eq(model_pbtxt_read(file, m, &settings, &ignored, text, sizeof(text)), 0,
		"%s\n%s", text, content);
	cr_expect_null(ignored);
}

static void read_conf(struct model_conf *m, const char *content)
{
	char file[128];

	put("model.conf", content);
	snprintf(file, sizeof(file), "%s/model.conf", root);
	begin(m);
	cr_assert_eq(model_conf_read(file, m, text, sizeof(text)), 0, "%s\n%s", text, content);
}

typedef void (*print_fn)(FILE *, const struct version_settings *, const struct wire_loaded *,
	const uint64_t *, size_t);

static void print_loaded(
	print_fn how, const struct version_settings *s, const struct wire_loaded *declared)
{
	static const uint64_t versions[] = {3, 1};
	FILE *out = fmemopen(printed, sizeof(printed), "w");

	cr_assert(out);
	how(out, s, declared, versions, 2);
	cr_assert_eq(fclose(out), 0);
}

static void print(print_fn how, const struct version_settings *s)
{
	print_loaded(how, s, NULL);
}

static void same_again(const char *content)
{
	struct model_conf a, b;

	read_pbtxt(&a, content);
	print(model_print_pbtxt, &a.settings);
	read_pbtxt(&b, printed);
	cr_expect(version_settings_equal(&a.settings, &b.settings), "%s", printed);
	cr_expect(version_policy_has(&b.versions, 1, 9) && version_policy_has(&b.versions, 3, 9));
	cr_expect_not(version_policy_has(&b.versions, 2, 0));
	model_conf_release(&a);
	model_conf_release(&b);
}

#define WARMUP                                                                                     \
	"model_warmup { name: \"w \\\"1\\\"\\n\" batch_size: 4 count: 2\n"                         \
	"  inputs { key: \"a b\" value { data_type: TYPE_STRING dims: [ 3, 4 ] zero_data: true } " \
	"}\n"                                                                                      \
	"  inputs { key: \"c\" value { data_type: TYPE_BF16 random_data: true } }\n"               \
	"  inputs { key: \"d\" value { data_type: TYPE_BOOL dims: 1 input_data_file: \"x y\" } } " \
	"}\n"

Test(model_print, pbtxt_is_read_as_the_same_again)
{
	same_again("backend: \"b\"");
	same_again("platform: \"onnxruntime_onnx\" max_batch_size: 0 instance_group { count: 2 "
		   "gpus: 1 }\n" WARMUP);
	same_again("backend: \"b\" max_batch_size: 4 dynamic_batching { "
		   "max_queue_delay_microseconds: 100 }\n"
		   "instance_group [ { count: 2 gpus: [ 0, 1 ] }, { kind: KIND_CPU } ]\n"
		   "parameters { key: \"k\\\\ \" value { string_value: \"line\\nnext\\t\\\"\" } }");
	same_again("backend: \"b\" sequence_batching { max_sequence_idle_microseconds: 7 oldest { "
		   "max_candidate_sequences: 9 }\n"
		   "  control_input { name: \"S\" control { int32_false_true: [ 0, 1 ] } }\n"
		   "  control_input { name: \"E\" control { kind: CONTROL_SEQUENCE_END "
		   "fp32_false_true: [ -1, 0.5 ] } }\n"
		   "  control_input { name: \"R\" control { kind: CONTROL_SEQUENCE_READY "
		   "bool_false_true: [ false, true ] } }\n"
		   "  control_input { name: \"C\" control { kind: CONTROL_SEQUENCE_CORRID "
		   "data_type: TYPE_STRING } }\n"
		   "  state { input_name: \"i\" output_name: \"o\" data_type: TYPE_FP32 dims: [ "
		   "-1, 2 ] } }");
	same_again(
		"backend: \"b\" dynamic_batching { priority_levels: 3 default_priority_level: 2\n"
		"  default_queue_policy { default_timeout_microseconds: 9 max_queue_size: 1 }\n"
		"  priority_queue_policy { key: 2 value { allow_timeout_override: true } } }");
	same_again("backend: \"b\" sequence_batching { direct { } state { input_name: \"i\" "
		   "output_name: \"o\"\n"
		   "  data_type: TYPE_INT64 } }");
}

Test(model_print, conf_is_read_as_the_same_again)
{
	struct model_conf a, b;

	read_conf(&a,
		"[model]\nbackend = b\ndevices = cuda:0 x2, cpu:0\nfallback = "
		"cpu:1\ngpu_priority "
		"= high\n"
		"max_batch_size = 8\ninstances = 3\nrun_timeout_ms = 9\nstateful = yes\n"
		"caller_parameters = k, l\nisolation "
		"= model\n"
		"[queue]\nlevels = 3\ndefault_level = 2\ntimeout_us = 7\ntimeout_action = "
		"delay\npreferred_batch_size = 2, 4\n"
		"[parameters]\nk = v w\n[warmup.w]\nbatch_size = 2\ninput = x FP32 [3, 4] zero\n"
		"input = y BYTES [] file:a/b\n[warmup.v]\ncount = 2\ninput = x FP32 [3] random\n");
	print(model_print_conf, &a.settings);
	read_conf(&b, printed);
	cr_expect(version_settings_equal(&a.settings, &b.settings), "%s", printed);
	cr_expect_eq(b.versions.n_numbers, 2);
	cr_expect_str_eq(b.settings.caller_parameters, "k,l");
	model_conf_release(&a);
	model_conf_release(&b);
}

Test(model_print, an_order_of_answers)
{
	struct model_conf m;

	read_conf(&m, "[model]\nbackend = b\nmax_batch_size = 8\n[queue]\nkeep_order = yes\n");
	print(model_print_conf, &m.settings);
	cr_expect(strstr(printed, "keep_order = yes\n"), "%s", printed);
	print(model_print_pbtxt, &m.settings);
	cr_expect(strstr(printed, "preserve_ordering: true\n"), "%s", printed);
	model_conf_release(&m);
}

Test(model_print, what_a_form_has_no_words_for_is_a_comment)
{
	struct model_conf m;

	read_conf(&m, "[model]\nbackend = b\ndevices = cuda:GPU-1 x2\nfallback = "
		      "cpu:1\ngpu_priority = low\n"
		      "stateful = yes\n");
	print(model_print_pbtxt, &m.settings);
	cr_expect(
		strstr(printed, "# only in model.conf: devices = cuda:GPU-1 x2\n"), "%s", printed);
	cr_expect(strstr(printed, ", fallback = cpu:1, gpu_priority = low, stateful = yes\n"), "%s",
		printed);
	model_conf_release(&m);
	read_pbtxt(&m, "backend: \"b\" sequence_batching { } " WARMUP);
	print(model_print_conf, &m.settings);
	cr_expect(strstr(printed, "; only in config.pbtxt: sequence_batching\n"), "%s", printed);
	cr_expect(strstr(printed, "; only in config.pbtxt: input = a b BYTES [3, 4] zero\n"), "%s",
		printed);
	model_conf_release(&m);
}

/* The batch that it really gets is printed, and of sizes that are preferred those that it can have. */
Test(model_print, a_model_completes_its_files)
{
	static const int64_t dims[] = {-1, 4};
	const struct wire_declaration x = {
		.name = "x", .dtype = DTYPE_F32, .rank = 2, .dims = dims};
	struct wire_loaded declared = {
		.ok = true, .inputs = &x, .n_inputs = 1, .max_batch_size = 8};
	struct model_conf a, b;

	read_pbtxt(&a, "backend: \"b\" max_batch_size: 16\n"
		       "dynamic_batching { preferred_batch_size: [ 4, 12 ] }");
	print_loaded(model_print_pbtxt, &a.settings, &declared);
	cr_expect(strstr(printed, "\nmax_batch_size: 8\n"), "%s", printed);
	cr_expect(strstr(printed, "input { name: \"x\" data_type: TYPE_FP32 dims: [ 4 ] }\n"), "%s",
		printed);
	read_pbtxt(&b, printed);
	cr_expect_eq(b.settings.max_batch_size, 8);
	cr_assert_eq(b.settings.queue->n_preferred, 1);
	model_conf_release(&b);
	print_loaded(model_print_conf, &a.settings, &declared);
	cr_expect(strstr(printed, "; input \"x\" FP32 [-1, 4]\n"), "%s", printed);
	read_conf(&b, printed);
	cr_expect_eq(b.settings.max_batch_size, 8);
	model_conf_release(&b);
	declared.max_batch_size = 0;
	print_loaded(model_print_pbtxt, &a.settings, &declared);
	cr_expect(strstr(printed, " dims: [ -1, 4 ] }\n"), "%s", printed);
	read_pbtxt(&b, printed);
	cr_expect_eq(b.settings.max_batch_size, 0);
	model_conf_release(&b);
	model_conf_release(&a);
}

Test(model_print, entries)
{
	struct repository_version versions[3] = {
		{.number = 3, .chosen = true}, {.number = 2}, {.number = 1, .chosen = true}};
	struct repository_entry e = {.name = "m", .versions = versions, .n_versions = 3};
	FILE *out = fmemopen(printed, sizeof(printed), "w");

	for (size_t i = 0; i < 3; i++)
		versions[i].settings = (struct version_settings){.name = "m", .backend = "b"};
	cr_assert(out);
	cr_assert_eq(model_print_entry(out, MODEL_FORM_CONF, &e, NULL), 0);
	cr_assert_eq(model_print_entry(out, MODEL_FORM_PBTXT, &e, NULL), 0);
	e.n_versions = 0;
	cr_assert_eq(model_print_entry(out, MODEL_FORM_CONF, &e, NULL), 0);
	cr_assert_eq(fclose(out), 0);
	cr_expect(strstr(printed, "; m/model.conf\n[model]\nbackend = b\nversion = 3, 1\n"), "%s",
		printed);
	cr_expect(strstr(printed, "# m/config.pbtxt\nname: \"m\"\n"), "%s", printed);
}
