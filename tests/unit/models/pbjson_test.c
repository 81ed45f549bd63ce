/* Tests of pbjson.c: what is written, and what protobuf-c makes of it. */
#include "models/pbjson.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config_message.h"
#include "tests/support/failalloc.h"

static char text[256];
static uint64_t present;

static int read_json(const char *data, size_t n)
{
	struct buf out = {.max = 65536};

	return config_take(pbjson_read(&inference__model_config__descriptor, data, n, &out,
				   &present, text, sizeof(text)),
		&out);
}

static void good(const char *data)
{
	cr_assert_eq(read_json(data, strlen(data)), 0, "%s: %s", data, text);
}

static void bad(const char *data, const char *expected)
{
	cr_assert_eq(read_json(data, strlen(data)), PBJSON_E_INVALID, "%s", data);
	cr_expect_str_eq(text, expected, "%s: %s", data, text);
}

TestSuite(pbjson, .fini = config_free);

Test(pbjson, as_clients_write_it)
{
	good("{\"name\": \"m\\u00e4\", \"maxBatchSize\": 16, \"input\": [{\"name\": \"a\", "
	     "\"data_type\": \"type_fp32\", \"dims\": [-1, \"3\"]}, {\"dataType\": 11}],"
	     "\"version_policy\": {\"specific\": {\"versions\": [1, 2]}},"
	     "\"parameters\": {\"k\": {\"string_value\": \"v\"}, \"l\": {}},"
	     "\"instance_group\": [{\"kind\": \"KIND_GPU\", \"gpus\": [0, 1]}],"
	     "\"dynamic_batching\": {\"max_queue_delay_microseconds\": \"18446744073709551615\","
	     "\"preserve_ordering\": true, \"priority_queue_policy\": {\"3\": {\"timeout_action\": "
	     "1}}},"
	     "\"sequence_batching\": null,"
	     "\"model_metrics\": {\"metric_control\": [{\"histogram_options\": {\"buckets\": [1, "
	     "2.5e0, \"3\"]}}]}}");
	cr_expect_str_eq(config->name, "m\xc3\xa4");
	cr_expect_eq(config->max_batch_size, 16);
	cr_assert_eq(config->n_input, 2);
	cr_assert_eq(config->input[0]->n_dims, 2);
	cr_expect_eq(config->input[0]->dims[0], -1);
	cr_expect_eq(config->input[0]->dims[1], 3);
	cr_expect_eq(config->input[0]->data_type, INFERENCE__DATA_TYPE__TYPE_FP32);
	cr_expect_eq(config->input[1]->data_type, INFERENCE__DATA_TYPE__TYPE_FP32);
	cr_expect_eq(config->version_policy->specific->versions[1], 2);
	cr_assert_eq(config->n_parameters, 2);
	cr_expect_str_eq(config->parameters[0]->key, "k");
	cr_expect_str_eq(config->parameters[0]->value->string_value, "v");
	cr_expect_eq(config->instance_group[0]->gpus[1], 1);
	cr_expect_eq(config->scheduling_choice_case,
		INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_DYNAMIC_BATCHING);
	cr_expect_eq(config->dynamic_batching->max_queue_delay_microseconds, UINT64_MAX);
	cr_expect(config->dynamic_batching->preserve_ordering);
	cr_expect_eq(config->dynamic_batching->priority_queue_policy[0]->key, 3);
	cr_expect_float_eq(
		config->model_metrics->metric_control[0]->histogram_options->buckets[2], 3, 1e-9);
	cr_expect(present & UINT64_C(1) << 4, "max_batch_size was there");
	cr_expect_not(present & UINT64_C(1) << 13, "null is nothing");
}

Test(pbjson, nothing)
{
	good("{}");
	good(" {\"name\": null} ");
	cr_expect_eq(present, 0);
}

Test(pbjson, numbers)
{
	good("{\"max_batch_size\": -1}");
	cr_expect_eq(config->max_batch_size, -1);
	good("{\"max_batch_size\": 8.0}");
	cr_expect_eq(config->max_batch_size, 8);
	bad("{\"max_batch_size\": 2147483648}",
		"a number is no value of max_batch_size, or one out of its range");
	bad("{\"max_batch_size\": 1.5}",
		"a number is no value of max_batch_size, or one out of its range");
	bad("{\"max_batch_size\": true}",
		"true is no value of max_batch_size, or one out of its range");
	bad("{\"max_batch_size\": \"many\"}", "'many' is no value of max_batch_size");
	bad("{\"max_batch_size\": \" 1\"}", "' 1' is no value of max_batch_size");
	bad("{\"max_batch_size\": \"\"}", "'' is no value of max_batch_size");
	bad("{\"dynamic_batching\": {\"max_queue_delay_microseconds\": -1}}",
		"a number is no value of max_queue_delay_microseconds, or one out of its range");
	bad("{\"dynamic_batching\": {\"max_queue_delay_microseconds\": \"-1\"}}",
		"'-1' is no value of max_queue_delay_microseconds");
	bad("{\"input\": [{\"data_type\": \"TYPE_FP31\"}]}",
		"'TYPE_FP31' is no value of data_type");
	bad("{\"input\": [{\"data_type\": 99}]}",
		"a number is no value of data_type, or one out of its range");
	bad("{\"input\": [{\"optional\": \"maybe\"}]}", "'maybe' is no value of optional");
}

Test(pbjson, structure)
{
	bad("{\"nam\": 1}", "ModelConfig has no field 'nam'");
	bad("{\"max__batch_size\": 1}", "ModelConfig has no field 'max__batch_size'");
	bad("{\"maxBatchSize\": 1, \"max_batch_size\": 1}",
		"max_batch_size is set twice, or beside what excludes it");
	bad("{\"dynamic_batching\": {}, \"sequence_batching\": {}}",
		"sequence_batching is set twice, or beside what excludes it");
	bad("{\"input\": {}}", "a list is expected for input, not an object");
	bad("{\"input\": [7]}", "an object is expected for input, not a number");
	bad("{\"parameters\": []}", "an object is expected for parameters, not a list");
	bad("{\"name\": [\"a\"]}", "a text is expected for name, not a list");
	bad("{\"name\": 7}", "a text is expected for name, not a number");
	bad("{\"input\": [{\"dims\": [[1]]}]}",
		"a list is no value of dims, or one out of its range");
	bad("[]", "1:1: an object is expected, not a list");
}

/* What the parser says of them is its own affair. */
Test(pbjson, what_is_no_json)
{
	static const char *const all[] = {"", "{", "{nonsense", "{\"name\": \"a\"",
		"{\"name\": 'a'}", "{\"name\": \"a\"} x", "{\"name\": \"\\u0000\"}",
		"{\"name\": \"\xff\"}", "{\"name\": \"a\", \"name\": \"b\"}",
		"{\"max_batch_size\": 18446744073709551616}", "{\"max_batch_size\": 1e400}"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		text[0] = '\0';
		cr_expect_eq(read_json(all[i], strlen(all[i])), PBJSON_E_INVALID, "%s", all[i]);
		cr_expect(text[0] >= '1' && text[0] <= '9' && strchr(text, ':'), "%s: %s", all[i],
			text);
	}
}

Test(pbjson, deep)
{
	char data[8192];

	memset(data, '[', sizeof(data));
	cr_expect_eq(read_json(data, sizeof(data)), PBJSON_E_INVALID);
}

Test(pbjson, more_than_there_may_be)
{
	struct buf out = {.max = 16};
	static const char data[] = "{\"name\": \"0123456789abcdef\"}";

	cr_expect_eq(pbjson_read(&inference__model_config__descriptor, data, sizeof(data) - 1, &out,
			     &present, text, sizeof(text)),
		-ENOBUFS);
	buf_deinit(&out);
}

static int life(void *arg)
{
	struct buf out = {.max = 65536};
	const char *data = arg;
	int r = pbjson_read(&inference__model_config__descriptor, data, strlen(data), &out,
		&present, text, sizeof(text));

	buf_deinit(&out);
	return r;
}

Test(pbjson, every_failure_leaves_nothing_behind)
{
	char data[] =
		"{\"name\": \"m\", \"input\": [{\"dims\": [1, 2]}], \"parameters\": {\"k\": {}}}";

	json_set_alloc_funcs(malloc, free);
	FAULT_LOOP_KINDS(life, data, FAIL_ALLOCATIONS);
}
