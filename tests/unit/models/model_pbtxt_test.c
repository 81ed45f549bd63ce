/* Tests of model_pbtxt.c: each field that does something, and the words for those that do not. */
#include "models/model_pbtxt.h"

#include "pool/pool.h"
#include "tests/support/failalloc.h"
#include "tree.h"

static struct pool_place places[] = {{"cpu:0", 1}, {"cuda:0", 1}, {"cuda:1", 1}};
static struct models_settings settings = {.places = places, .n_places = 3};
static struct model_conf m;
static char *ignored;
static char text[512];
static char file[64];

static void setup(void)
{
	tree_make();
	snprintf(file, sizeof(file), "%s/config.pbtxt", root);
}

static void fresh(void)
{
	model_conf_release(&m);
	free(ignored);
	ignored = NULL;
	m.settings.max_batch_size = UINT32_MAX;
	m.settings.max_queue_size = 77;
	cr_assert_eq(model_conf_replace(&m.settings.name, "m"), 0);
}

static void teardown(void)
{
	model_conf_release(&m);
	free(ignored);
	tree_remove();
}

TestSuite(model_pbtxt, .init = setup, .fini = teardown);

static void good(const char *content)
{
	fresh();
	put("config.pbtxt", content);
	cr_assert_eq(
		model_pbtxt_read(file, &m, &settings, &ignored, text, sizeof(text)), 0, "%s", text);
}

/* expected: behind the file's name; of a field its line is added, which is the first. */
static void bad(const char *content, const char *expected)
{
	char whole[512];

	fresh();
	put("config.pbtxt", content);
	cr_assert_eq(model_pbtxt_read(file, &m, &settings, &ignored, text, sizeof(text)),
		MODEL_PBTXT_E_INVALID);
	snprintf(whole, sizeof(whole), "%s:%s%s", file, *expected == ' ' ? "1:" : "", expected);
	cr_expect_str_eq(text, whole);
}

Test(model_pbtxt, what_does_something)
{
	good("name: \"m\" platform: \"onnxruntime_onnx\" max_batch_size: 4\n"
	     "input { name: \"x\" data_type: TYPE_FP32 dims: 3 } output { name: \"y\" }\n"
	     "dynamic_batching { max_queue_delay_microseconds: 100\n"
	     "  default_queue_policy { max_queue_size: 9 } }\n"
	     "instance_group { count: 3 kind: KIND_GPU gpus: 1 }\n"
	     "parameters { key: \"k\" value { string_value: \"v\" } }\n"
	     "version_policy { specific { versions: [ 1, 3 ] } } default_model_filename: "
	     "\"model.onnx\"");
	cr_expect_str_eq(m.settings.backend, "onnxruntime");
	cr_expect_eq(m.settings.max_batch_size, 4);
	cr_expect_eq(m.settings.max_queue_delay_us, 100);
	cr_expect_eq(m.settings.max_queue_size, 9);
	cr_expect_eq(m.settings.instances, 3);
	cr_expect_str_eq(m.settings.devices, "cuda:1");
	cr_assert_eq(m.settings.n_parameters, 1);
	cr_expect_str_eq(m.settings.parameters[0].value, "v");
	cr_expect(version_policy_has(&m.versions, 3, 5) && !version_policy_has(&m.versions, 2, 0));
	cr_expect_null(ignored);
}

Test(model_pbtxt, what_is_left_out_stays)
{
	good("");
	cr_expect_null(m.settings.backend);
	cr_expect_null(m.settings.devices);
	cr_expect_eq(m.settings.max_batch_size, UINT32_MAX);
	cr_expect_eq(m.settings.max_queue_size, 77);
	cr_expect_eq(m.settings.instances, 0);
	good("max_batch_size: 0 backend: \"mine\" version_policy { all {} }");
	cr_expect_eq(m.settings.max_batch_size, 0, "said is not left out");
	cr_expect_str_eq(m.settings.backend, "mine");
	cr_expect_eq(m.versions.kind, VERSION_POLICY_ALL);
	good("version_policy { latest { num_versions: 2 } }");
	cr_expect(version_policy_has(&m.versions, 1, 1));
}

Test(model_pbtxt, devices)
{
	good("instance_group { kind: KIND_CPU }");
	cr_expect_str_eq(m.settings.devices, "cpu:0");
	good("instance_group { kind: KIND_GPU count: 2 }");
	cr_expect_str_eq(m.settings.devices, "cuda:0,cuda:1");
	good("instance_group { count: 2 }");
	cr_expect_str_eq(
		m.settings.devices, "cuda:0,cuda:1", "KIND_AUTO: GPUs, where there are some");
	cr_expect_eq(m.settings.instances, 2);
	good("instance_group { count: 2 kind: KIND_MODEL }");
	cr_expect_str_eq(m.settings.devices, "cpu:0,cuda:0,cuda:1");
	settings.n_places = 1;
	good("instance_group { count: 2 }");
	cr_expect_str_eq(m.settings.devices, "cpu:0");
	bad("instance_group { kind: KIND_GPU }",
		" instance_group: KIND_GPU: there is no worker on a GPU ([worker] workers)");
	settings.n_places = 3;
}

Test(model_pbtxt, several_groups)
{
	good("instance_group [ { count: 2 gpus: [ 0, 1 ] }, { kind: KIND_CPU } ]");
	cr_expect_str_eq(m.settings.devices, "cuda:0 x2,cuda:1 x2,cpu:0 x1");
	cr_expect_eq(m.settings.instances, 0);
	good("instance_group [ { count: 1 gpus: 0 }, { count: 2 gpus: 0 } ]");
	cr_expect_str_eq(m.settings.devices, "cuda:0");
	cr_expect_eq(m.settings.instances, 3, "what they give is added");
	good("instance_group [ { count: 4 kind: KIND_CPU }, { gpus: 0 passive: true } ]");
	cr_expect_str_eq(m.settings.devices, "cpu:0");
	cr_expect_eq(m.settings.instances, 4);
}

Test(model_pbtxt, what_of_a_group_does_nothing_is_named)
{
	good("instance_group [ { name: \"a\" host_policy: \"p\" gpus: [ 1, 7 ] },\n"
	     "  { rate_limiter { priority: 1 } kind: KIND_CPU profile: \"x\" } ]");
	cr_expect_str_eq(m.settings.devices, "cuda:1,cuda:7,cpu:0");
	cr_assert_not_null(ignored);
	cr_expect(strstr(ignored, "config.pbtxt: instance_group: there is no worker on cuda:7 "
				  "([worker] workers)"),
		"%s", ignored);
	cr_expect(strstr(ignored, "not acted on: instance_group.profile, "
				  "instance_group.rate_limiter, instance_group.host_policy"),
		"%s", ignored);
}

Test(model_pbtxt, what_does_nothing_is_named)
{
	good("optimization { } runtime: \"x\" response_cache { enable: true }");
	cr_assert_not_null(ignored);
	cr_expect_str_eq(ignored,
		in_tree("%/config.pbtxt: not acted on: optimization, response_cache, runtime"));
}

#define START "control_input { name: \"S\" control { int32_false_true: [ 0, 1 ] } } "

Test(model_pbtxt, sequences)
{
	const struct sequence_settings *s;

	good("sequence_batching { }");
	s = m.settings.sequence;
	cr_assert_not_null(s);
	cr_expect_eq(s->strategy, SEQUENCE_DIRECT);
	cr_expect_eq(s->idle_us, 1000000);
	cr_expect_eq(m.settings.max_batch_size, 0, "as where Triton finds nothing");
	cr_expect(m.settings.stateful);
	good("max_batch_size: 4 sequence_batching { max_sequence_idle_microseconds: 7\n" START
	     "control_input { name: \"E\" control { kind: CONTROL_SEQUENCE_END\n"
	     "  fp32_false_true: [ 0, 1 ] } }\n"
	     "control_input { name: \"R\" control { kind: CONTROL_SEQUENCE_READY\n"
	     "  bool_false_true: [ false, true ] } }\n"
	     "control_input { name: \"C\" control { kind: CONTROL_SEQUENCE_CORRID\n"
	     "  data_type: TYPE_STRING } }\n"
	     "oldest { max_candidate_sequences: 9 }\n"
	     "state { input_name: \"i\" output_name: \"o\" data_type: TYPE_FP16 dims: [ 3, -1 ] } "
	     "}");
	s = m.settings.sequence;
	cr_assert_not_null(s);
	cr_expect_eq(s->strategy, SEQUENCE_OLDEST);
	cr_expect_eq(s->max_candidates, 9);
	cr_expect_eq(s->idle_us, 7);
	cr_expect_eq(m.settings.max_batch_size, 4);
	cr_expect_str_eq(s->controls[SEQUENCE_START].name, "S");
	cr_expect_eq(s->controls[SEQUENCE_START].values[1][0], 1);
	cr_expect_eq(s->controls[SEQUENCE_END].dtype, DTYPE_F32);
	cr_expect_eq(s->controls[SEQUENCE_READY].dtype, DTYPE_BOOL);
	cr_expect_eq(s->controls[SEQUENCE_READY].values[1][0], 1);
	cr_expect_eq(s->controls[SEQUENCE_CORRID].dtype, DTYPE_BYTES);
	cr_assert_eq(s->n_states, 1);
	cr_expect_str_eq(s->states[0].input, "i");
	cr_expect_str_eq(s->states[0].output, "o");
	cr_expect_eq(s->states[0].dtype, DTYPE_F16);
	cr_assert_eq(s->states[0].rank, 2);
	cr_expect_eq(s->states[0].dims[0], 3);
	cr_expect_eq(s->states[0].dims[1], 1, "any size begins with one");
	cr_expect_null(ignored);
}

Test(model_pbtxt, what_is_wrong_with_sequences)
{
	bad("sequence_batching { iterative_sequence: true }",
		" sequence_batching.iterative_sequence: is not served here");
	bad("sequence_batching { " START START "}",
		" sequence_batching.control_input: two inputs say the same");
	bad("sequence_batching { " START "control_input { name: \"S\" control {\n"
	    "  kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } } }",
		" sequence_batching.control_input.name: an input says one thing alone");
	bad("sequence_batching { " START "state { input_name: \"S\" output_name: \"o\"\n"
	    "  data_type: TYPE_INT32 } }",
		" sequence_batching.state.input_name: it is a control input already");
	bad("sequence_batching { control_input { name: \"S\" } }",
		" sequence_batching.control_input.control: one is expected for each input");
	bad("sequence_batching { control_input { control { int32_false_true: [ 0, 1 ] } } }",
		" sequence_batching.control_input.name: a name of at most 255 characters is "
		"expected");
	bad("sequence_batching { control_input { name: \"S\" control { int32_false_true: 1 } } }",
		" sequence_batching.control_input.control: one of int32_false_true, "
		"fp32_false_true and bool_false_true is expected, with two values");
	bad("sequence_batching { control_input { name: \"C\" control {\n"
	    "  kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 } } }",
		" sequence_batching.control_input.control.data_type: of "
		"CONTROL_SEQUENCE_CORRID: TYPE_UINT64, TYPE_INT64, TYPE_UINT32, TYPE_INT32 or "
		"TYPE_STRING is expected");
	bad("sequence_batching { state { input_name: \"i\" output_name: \"o\" } }",
		" sequence_batching.state.data_type: is expected");
	bad("sequence_batching { state { input_name: \"i\" output_name: \"o\"\n"
	    "  data_type: TYPE_FP32 initial_state { data_file: \"x\" } } }",
		" sequence_batching.state.initial_state: zero_data alone is served");
}

Test(model_pbtxt, what_is_wrong)
{
	bad("nam: \"m\"", "1:1: ModelConfig has no field 'nam'");
	bad("name: \"n\"", " name: is not the name of the model's directory");
	bad("platform: \"tensorrt_plan\"",
		" platform: is none that is served here: onnxruntime_onnx is, or name a backend");
	bad("backend: \"../x\"", " backend: a backend's name has only a-z, 0-9, _ and -");
	bad("default_model_filename: \"m.onnx\"",
		" default_model_filename: the file is called model.onnx here: rename it");
	bad("version_policy { specific { versions: 0 } }",
		" version_policy: a version is a number from 1");
	bad("max_batch_size: -1", " max_batch_size: a number from 0 to 65536 is expected");
	bad("ensemble_scheduling { }", " ensemble_scheduling: is not served here");
	bad("instance_group { count: 2000 }",
		" instance_group: count: a number from 0 to 1024 is expected");
	bad("instance_group [ { kind: KIND_CPU count: 1000 }, { kind: KIND_MODEL count: 25 } ]",
		" instance_group: more than 1024 instances on one device");
	bad("instance_group { kind: KIND_CPU gpus: 0 }",
		" instance_group: gpus: only KIND_GPU and KIND_AUTO have them");
	bad("instance_group { kind: KIND_CPU passive: true }",
		" instance_group: all groups are passive: none has instances");
	bad("dynamic_batching { max_queue_delay_microseconds: 10000001 }",
		" dynamic_batching.max_queue_delay_microseconds: a number from 0 to 10000000 is "
		"expected");
}

Test(model_pbtxt, warmups)
{
	good("model_warmup [ { name: \"w\" batch_size: 4 count: 2\n"
	     "  inputs { key: \"a\" value { data_type: TYPE_FP32 dims: [ 3, 4 ] zero_data: true } "
	     "}\n"
	     "  inputs { key: \"b\" value { data_type: TYPE_STRING dims: 1\n"
	     "    input_data_file: \"texts\" } } },\n"
	     "  { batch_size: 1 inputs { key: \"a\" value { data_type: TYPE_BF16\n"
	     "    random_data: false } } },\n"
	     "  { name: \"left out\" } ]");
	cr_expect_null(ignored);
	cr_assert_eq(m.settings.n_warmups, 2);
	cr_expect_str_eq(m.settings.warmups[0].name, "w");
	cr_expect_eq(m.settings.warmups[0].batch_size, 4);
	cr_expect_eq(m.settings.warmups[0].count, 2);
	cr_assert_eq(m.settings.warmups[0].n_inputs, 2);
	cr_expect_eq(m.settings.warmups[0].inputs[0].rank, 2);
	cr_expect_eq(m.settings.warmups[0].inputs[0].dims[1], 4);
	cr_expect_not(m.settings.warmups[0].inputs[0].random);
	cr_expect_eq(m.settings.warmups[0].inputs[1].dtype, DTYPE_BYTES);
	cr_expect_str_eq(m.settings.warmups[0].inputs[1].file, "texts");
	cr_expect_str_eq(m.settings.warmups[1].name, "2");
	cr_expect_eq(m.settings.warmups[1].count, 1);
	cr_expect(m.settings.warmups[1].inputs[0].random, "its value does not matter");
}

#define WARMUP(more) "model_warmup { name: \"w\" batch_size: 1 " more " }"
#define INPUT(more)  "inputs { key: \"a\" value { data_type: TYPE_FP32 dims: 3 " more " } }"

Test(model_pbtxt, what_is_wrong_with_warmups)
{
	bad(WARMUP(INPUT("")),
		" model_warmup 1: an input has one of zero_data, random_data and input_data_file");
	bad(WARMUP("inputs { key: \"a\" value { zero_data: true } }"),
		" model_warmup 1: an input has no data type that is known");
	bad(WARMUP(INPUT("input_data_file: \"\"")),
		" model_warmup 1: input_data_file names no file");
	bad(WARMUP(INPUT("input_data_file: \"/etc/passwd\"")),
		" model_warmup 1: a file is a path below the model's warmup directory, and no part "
		"of it is empty, . or ..");
	bad(WARMUP(INPUT("dims: -1 zero_data: true")), " model_warmup 1: an input has at most 16 "
						       "dimensions, each from 0, and their product "
						       "fits 63 bits");
	bad(WARMUP("count: 1001"), " model_warmup 1: batch_size is at most 65536, and count 1000");
	bad(WARMUP("") WARMUP(""), " model_warmup 2: another one has its name");
	bad(WARMUP("inputs { value { zero_data: true } }"),
		" model_warmup 1: an input has a name of at most 255 characters");
}

Test(model_pbtxt, no_file)
{
	fresh();
	cr_expect_eq(model_pbtxt_read("/nonexistent", &m, &settings, &ignored, text, sizeof(text)),
		MODEL_PBTXT_E_INVALID);
	cr_expect_str_eq(text, "/nonexistent: cannot be opened: No such file or directory");
}

static int life(void *arg)
{
	struct model_conf own = {.settings = {.name = arg}};
	char *odd = NULL;
	int r = model_pbtxt_read(file, &own, &settings, &odd, text, sizeof(text));

	own.settings.name = NULL;
	model_conf_release(&own);
	free(odd);
	return r;
}

Test(model_pbtxt, every_failure_leaves_nothing_behind)
{
	put("config.pbtxt",
		"backend: \"b\" instance_group { gpus: [ 0, 7 ] } instance_group { count: 3 }\n"
		"runtime: \"x\"\n"
		"parameters { key: \"k\" value { string_value: \"v\" } }\n"
		"version_policy { specific { versions: 1 } }\n"
		"sequence_batching { " START "}\n" WARMUP(INPUT("input_data_file: \"f\"")));
	FAULT_LOOP_KINDS(life, (void *)"m", FAIL_ALLOCATIONS);
}

/* Of the text, or of what it means. */
Test(model_pbtxt, each_that_is_wrong)
{
	static const char *const parts[] = {":1:1: ModelConfig has no field 'nam'; ",
		":2:17: 'x' is no value of max_batch_size", NULL};
	static const char *const meant[] = {":2: name: is not the name of", "; ",
		":4: backend: a backend's name has only", ":7: max_batch_size: a number from 0",
		":6: model_warmup 1: an input has one of", NULL};

	fresh();
	put("config.pbtxt", "nam: \"m\"\nmax_batch_size: x\n");
	cr_assert_eq(model_pbtxt_read(file, &m, &settings, &ignored, text, sizeof(text)),
		MODEL_PBTXT_E_INVALID);
	for (size_t i = 0; parts[i]; i++)
		cr_expect(strstr(text, parts[i]), "%s", text);
	fresh();
	put("config.pbtxt", "\nname: \"n\"\n\nbackend: \"../x\"\nplatform: \"\"\n" WARMUP(
				    INPUT("")) "\nmax_batch_size: -1\n");
	cr_assert_eq(model_pbtxt_read(file, &m, &settings, &ignored, text, sizeof(text)),
		MODEL_PBTXT_E_INVALID);
	for (size_t i = 0; meant[i]; i++)
		cr_expect(strstr(text, meant[i]), "%s: %s", meant[i], text);
}

/* --- Tensors -------------------------------------------------------------------------------------- */

static void expect_claim(
	size_t i, bool output, const char *name, enum dtype dtype, uint32_t rank, int64_t last)
{
	const struct claim *c = &m.settings.claims->list[i];

	cr_expect_eq(c->output, output);
	cr_expect_str_eq(c->name, name);
	cr_expect_eq(c->dtype, dtype);
	cr_assert_eq(c->rank, rank);
	cr_expect(rank == 0 || c->dims[rank - 1] == last);
}

Test(model_pbtxt, tensors_are_kept_to_be_compared)
{
	good("backend: \"onnxruntime\"");
	cr_expect_null(m.settings.claims);
	good("input { name: \"x\" data_type: TYPE_FP32 dims: [ 3, -1 ] }\n"
	     "input { name: \"odd\" dims: [ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 ] }\n"
	     "output { name: \"y\" data_type: TYPE_STRING } output { name: \"z\" dims: 5 }");
	cr_assert_not_null(m.settings.claims);
	cr_assert_eq(m.settings.claims->n, 3);
	expect_claim(0, false, "x", DTYPE_F32, 2, -1);
	expect_claim(1, true, "y", DTYPE_BYTES, 0, 0);
	expect_claim(2, true, "z", DTYPE_INVALID, 1, 5);
	good("backend: \"onnxruntime\"");
	cr_expect_null(m.settings.claims);
}
