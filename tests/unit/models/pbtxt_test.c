/* Tests of pbtxt.c: what is written, and what protobuf-c makes of it. */
#include "models/pbtxt.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config_message.h"
#include "tests/support/failalloc.h"

static char text[2048];
static struct pbtxt_fields fields;

static int read_text(const char *data, size_t n)
{
	struct buf out = {.max = 65536};

	return config_take(pbtxt_read(&inference__model_config__descriptor, data, n, &out, &fields,
				   text, sizeof(text)),
		&out);
}

static void good(const char *data)
{
	cr_assert_eq(read_text(data, strlen(data)), 0, "%s: %s", data, text);
}

static void bad(const char *data, const char *expected)
{
	cr_assert_eq(read_text(data, strlen(data)), PBTXT_E_INVALID, "%s", data);
	cr_expect_str_eq(text, expected, "%s: %s", data, text);
}

TestSuite(pbtxt, .fini = config_free);

Test(pbtxt, as_people_write_it)
{
	good("# a comment\nname: \"m\" platform: 'onnx' 'runtime' max_batch_size: 0x10;\n"
	     "input [ { name: \"a\", data_type: TYPE_FP32, dims: [ -1, 3 ] }, { name: \"b\" dims: "
	     "1 dims: 2 } ]\n"
	     "output < name: \"c\" data_type: 11 >\n"
	     "version_policy: { latest { num_versions: 2 } }\n"
	     "parameters { key: \"k\" value: { string_value: \"v\" } } parameters { key: \"l\" }\n"
	     "instance_group [ { kind: KIND_GPU gpus: [ 0, 1 ] } ] dynamic_batching { }\n"
	     "model_warmup { inputs { key: \"a\" value { zero_data: true } } }\n"
	     "model_metrics { metric_control { histogram_options { buckets: [ 1, 2.5e0, 3f ] } } "
	     "}");
	cr_expect_str_eq(config->platform, "onnxruntime");
	cr_expect_eq(config->max_batch_size, 16);
	cr_assert_eq(config->n_input, 2);
	cr_assert_eq(config->input[0]->n_dims, 2);
	cr_expect_eq(config->input[0]->dims[0], -1);
	cr_expect_eq(config->input[0]->data_type, INFERENCE__DATA_TYPE__TYPE_FP32);
	cr_assert_eq(config->input[1]->n_dims, 2);
	cr_expect_eq(config->input[1]->dims[1], 2);
	cr_expect_eq(config->output[0]->data_type, INFERENCE__DATA_TYPE__TYPE_FP32);
	cr_expect_eq(config->version_policy->latest->num_versions, 2);
	cr_assert_eq(config->n_parameters, 2);
	cr_expect_str_eq(config->parameters[0]->value->string_value, "v");
	cr_assert_eq(config->instance_group[0]->n_gpus, 2);
	cr_expect_eq(config->instance_group[0]->gpus[1], 1);
	cr_expect_eq(config->scheduling_choice_case,
		INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_DYNAMIC_BATCHING);
	cr_expect_float_eq(
		config->model_metrics->metric_control[0]->histogram_options->buckets[1], 2.5, 1e-9);
	cr_expect(fields.present & UINT64_C(1) << 4, "max_batch_size was there");
	cr_expect_not(fields.present & UINT64_C(1) << 17);
}

Test(pbtxt, nothing)
{
	good("");
	good(" \n# nothing\n");
	cr_expect_eq(fields.present, 0);
}

Test(pbtxt, strings)
{
	good("name: \"a\\n\\x41\\101\\\"\\\\\"");
	cr_expect_str_eq(config->name, "a\nAA\"\\");
	bad("name: \"a\nb\"", "1:9: a string does not end in its line");
	bad("name: \"a", "1:9: a string does not end in its line");
	bad("name: \"\\q\"", "1:9: unknown escape in a string");
	bad("name: \"\\0\"", "1:11: a string has a NUL character: name");
	bad("name: m", "1:7: a string in quotes is expected for name");
}

Test(pbtxt, numbers)
{
	good("max_batch_size: -1");
	cr_expect_eq(config->max_batch_size, -1);
	bad("max_batch_size: 2147483648", "1:17: '2147483648' is no value of max_batch_size");
	bad("max_batch_size: 1.5", "1:17: '1.5' is no value of max_batch_size");
	bad("max_batch_size: many", "1:17: 'many' is no value of max_batch_size");
	bad("max_batch_size:", "1:16: '' is no value of max_batch_size");
	bad("dynamic_batching { max_queue_delay_microseconds: -1 }",
		"1:50: '-1' is no value of max_queue_delay_microseconds");
	bad("input { data_type: TYPE_FP31 }", "1:20: 'TYPE_FP31' is no value of data_type");
	bad("input { data_type: 99 }", "1:20: '99' is no value of data_type");
	bad("input { optional: maybe }", "1:19: 'maybe' is no value of optional");
}

Test(pbtxt, structure)
{
	bad("nam: \"m\"", "1:1: ModelConfig has no field 'nam'");
	bad("name: \"m\"\n\n  nam: \"m\"", "3:3: ModelConfig has no field 'nam'");
	bad("name: \"m\" name: \"n\"", "1:11: name is set twice, or beside what excludes it");
	bad("dynamic_batching {} sequence_batching {}",
		"1:21: sequence_batching is set twice, or beside what excludes it");
	bad("name \"m\"", "1:6: ':' is expected behind name");
	bad("input { name: \"a\"", "1:18: '}' is missing at the end");
	bad("input { name: \"a\" >", "1:19: the name of a field is expected");
	bad("input: 7", "1:8: '{' is expected behind input");
	bad("name: [ \"a\" ]", "1:9: name takes one value, no list");
	bad("input { dims: [ 1, ] }", "1:20: '' is no value of dims");
	bad("input { dims: [ 1 2 ] }", "1:19: ',' or ']' is expected in the list of dims");
	bad("}", "1:1: the name of a field is expected");
}

Test(pbtxt, any_bytes)
{
	static const char nul[] = "name\0: \"m\"";

	cr_expect_eq(read_text(nul, sizeof(nul) - 1), PBTXT_E_INVALID);
	cr_expect_eq(read_text("\xff\xfe", 2), PBTXT_E_INVALID);
}

Test(pbtxt, more_than_there_may_be)
{
	struct buf out = {.max = 16};
	static const char data[] = "name: \"0123456789abcdef\"";

	cr_expect_eq(pbtxt_read(&inference__model_config__descriptor, data, sizeof(data) - 1, &out,
			     &fields, text, sizeof(text)),
		-ENOBUFS);
	buf_deinit(&out);
}

static int life(void *arg)
{
	struct buf out = {.max = 65536};
	const char *data = arg;
	int r = pbtxt_read(&inference__model_config__descriptor, data, strlen(data), &out, &fields,
		text, sizeof(text));

	buf_deinit(&out);
	return r;
}

Test(pbtxt, every_failure_leaves_nothing_behind)
{
	char data[] = "name: \"m\" input { name: \"a\" dims: [ 1, 2 ] } parameters { key: \"k\" "
		      "value {} }";

	FAULT_LOOP_KINDS(life, data, FAIL_ALLOCATIONS);
}

Test(pbtxt, each_that_is_wrong)
{
	bad("nam: \"m\"\nmax_batch_size: many\ninput {\n  name: 7\n  data_type: TYPE_FP33 # no\n"
	    "  dims: [ 1,\n 2 3 ]\n}\noutput [ { name: \"}\" dims: x } ]\nbackend:\n \"b\" name: "
	    "\"n\"\n"
	    "backend: \"c\"\n",
		"1:1: ModelConfig has no field 'nam'\n"
		"2:17: 'many' is no value of max_batch_size\n"
		"4:9: a string in quotes is expected for name\n"
		"5:14: 'TYPE_FP33' is no value of data_type\n"
		"7:4: ',' or ']' is expected in the list of dims\n"
		"9:28: 'x' is no value of dims\n"
		"12:1: backend is set twice, or beside what excludes it");
}

Test(pbtxt, not_more_than_there_may_be)
{
	char data[4096] = "", small[32];
	struct buf out = {.max = 65536};
	unsigned n = 1;

	for (int i = 0; i < 100; i++)
		memcpy(data + 5 * i, "x: 1\n", 5);
	cr_expect_eq(read_text(data, strlen(data)), PBTXT_E_INVALID);
	cr_expect_eq(pbtxt_read(&inference__model_config__descriptor, data, strlen(data), &out,
			     &fields, small, sizeof(small)),
		PBTXT_E_INVALID);
	cr_expect_eq(strlen(small), sizeof(small) - 1);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	cr_expect_leq(n, PBTXT_FAULTS_MAX);
	buf_deinit(&out);
}

Test(pbtxt, where_fields_are)
{
	good("# first\nname: \"m\"\n\ninput {\n name: \"a\" }\ninput { name: \"b\" }\n");
	cr_expect_eq(fields.line[1], 2);
	cr_expect_eq(fields.line[5], 4);
	cr_expect_eq(fields.line[4], 0);
}
