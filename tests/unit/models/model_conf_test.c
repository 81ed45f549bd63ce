/* Tests of model_conf.c: each key, and each error with file, line and key. */
#include "models/model_conf.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/failalloc.h"

static char directory[] = "/tmp/modeld-test-XXXXXX";
static char file[64];
static char text[1024];
static struct model_conf conf;
#define m conf.settings

static void setup(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(file, sizeof(file), "%s/model.conf", directory);
}

static void teardown(void)
{
	model_conf_release(&conf);
	unlink(file);
	rmdir(directory);
}

TestSuite(model_conf, .init = setup, .fini = teardown);

static int read_text(const char *data)
{
	FILE *f = fopen(file, "we");

	cr_assert_not_null(f);
	fputs(data, f);
	fclose(f);
	return model_conf_read(file, &conf, text, sizeof(text));
}

static void bad(const char *data, const char *expected)
{
	char whole[256];

	cr_assert_eq(read_text(data), MODEL_CONF_E_INVALID);
	snprintf(whole, sizeof(whole), "%s:%s", file, expected);
	cr_expect_str_eq(text, whole);
}

Test(model_conf, one_key_over_what_the_file_says)
{
	cr_assert_eq(read_text("[model]\ninstances = 3\n[parameters]\nx = 1\n"), 0);
	cr_assert_eq(model_conf_set(&conf, "model", "instances", "4", text, sizeof(text)), 0);
	cr_assert_eq(model_conf_set(&conf, "parameters", "x", "2", text, sizeof(text)), 0);
	cr_assert_eq(model_conf_set(&conf, "parameters", "y", "3", text, sizeof(text)), 0);
	cr_expect_eq(m.instances, 4);
	cr_assert_eq(m.n_parameters, 2);
	cr_expect_str_eq(m.parameters[0].value, "2");
	cr_expect_str_eq(m.parameters[1].key, "y");
	cr_assert_eq(model_conf_set(&conf, "model", "instances", "0", text, sizeof(text)),
		MODEL_CONF_E_INVALID);
	cr_expect_str_eq(text, "'0' is no whole number from 1 to 1024");
	cr_expect_eq(m.instances, 4);
}

Test(model_conf, every_key)
{
	cr_assert_eq(
		read_text(
			"[model]\nbackend = builtin\nversion = 3\ndevices = cpu:0 , cuda:1\n"
			"max_batch_size = 0\nmax_queue_delay_us = 5\nmax_queue_size = 6\n"
			"fallback = cpu:1, cpu:2\ncaller_parameters = a , b\ngpu_priority = high\n"
			"instances = 3\nrun_timeout_ms = 7\nstateful = "
			"yes\n[parameters]\nfunction = f\n"
			"x = 1 2\n"),
		0, "%s", text);
	cr_expect_str_eq(m.backend, "builtin");
	cr_assert_eq(conf.versions.n_numbers, 1);
	cr_expect_eq(conf.versions.numbers[0], 3);
	cr_expect_str_eq(m.devices, "cpu:0,cuda:1");
	cr_expect_str_eq(m.fallback, "cpu:1,cpu:2");
	cr_expect_str_eq(m.caller_parameters, "a,b");
	cr_expect_eq(m.gpu_priority, WIRE_PRIORITY_HIGH);
	cr_expect_eq(m.max_batch_size, 0);
	cr_expect_eq(m.max_queue_delay_us, 5);
	cr_expect_eq(m.max_queue_size, 6);
	cr_expect_eq(m.instances, 3);
	cr_expect_eq(m.run_timeout_ms, 7);
	cr_expect(m.stateful);
	cr_assert_eq(m.n_parameters, 2);
	cr_expect_str_eq(m.parameters[0].key, "function");
	cr_expect_str_eq(m.parameters[1].value, "1 2");
}

Test(model_conf, queue)
{
	cr_assert_eq(
		read_text("[queue]\nlevels = 2\n[model]\nmax_batch_size = 8\n"), 0, "%s", text);
	cr_assert(m.queue);
	cr_expect_eq(m.queue->n_levels, 2);
	bad("[model]\ncaller_parameters = a,,b\n",
		"2: [model] caller_parameters: needs names separated by commas, none empty");
	bad("[queue]\nlevels = 0\n", "2: [queue] levels: a number from 1 to 32 is expected");
	bad("[queue]\ndefault_level = 2\n", " [queue] default_level: there are not so many levels");
	bad("[queue]\nlevels = 2\n 3\n",
		"3: [queue] levels: a value may not go on in an indented line");
}

Test(model_conf, none_changes_nothing)
{
	m.max_batch_size = 77;
	cr_expect_eq(model_conf_read("/nonexistent/model.conf", &conf, text, sizeof(text)), 0);
	cr_expect_eq(m.max_batch_size, 77);
}

Test(model_conf, a_directory_in_its_place)
{
	cr_expect_eq(model_conf_read("/tmp", &conf, text, sizeof(text)), MODEL_CONF_E_INVALID);
	cr_expect_str_eq(text, "/tmp: cannot be read: Is a directory");
}

Test(model_conf, unknown_section)
{
	bad("[modell]\nbackend = x\n", "2: [modell] backend: unknown section");
}

Test(model_conf, unknown_key)
{
	bad("[model]\n\nbackendd = x\n", "3: [model] backendd: unknown key");
}

Test(model_conf, set_twice)
{
	bad("[model]\nbackend = x\nbackend = y\n", "3: [model] backend: is set twice");
}

Test(model_conf, parameter_set_twice)
{
	bad("[parameters]\na = x\na = y\n", "3: [parameters] a: is set twice");
}

Test(model_conf, no_assignment)
{
	bad("[model]\nbackend\n", "2: neither [section] nor key = value");
}

Test(model_conf, values_do_not_go_on)
{
	bad("[model]\nbackend = x\n  y\n",
		"3: [model] backend: a value may not go on in an indented line");
}

Test(model_conf, backend_names)
{
	bad("[model]\nbackend = ../evil\n",
		"2: [model] backend: a backend's name has only a-z, 0-9, _ and -");
}

Test(model_conf, empty_backend_name)
{
	bad("[model]\nbackend =\n",
		"2: [model] backend: a backend's name has only a-z, 0-9, _ and -");
}

Test(model_conf, versions)
{
	static const char *const wrong[] = {
		"0", "01", "-1", "1a", "../1", "9223372036854775808", ""};
	char data[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(data, sizeof(data), "[model]\nversion = %s\n", wrong[i]);
		bad(data,
			"2: [model] version: 'latest', 'latest N', 'all' or numbers from 1 without "
			"leading zeros, separated by commas, are expected");
	}
	cr_expect_eq(read_text("[model]\nversion = all\n"), 0);
	cr_expect_eq(conf.versions.kind, VERSION_POLICY_ALL);
	cr_expect_eq(read_text("[model]\nversion = latest 2\n"), 0);
	cr_expect_eq(conf.versions.count, 2);
}

Test(model_conf, numbers)
{
	bad("[model]\nmax_batch_size = 65537\n",
		"2: [model] max_batch_size: '65537' is no whole number from 0 to 65536");
	bad("[model]\nmax_queue_size = 0\n",
		"2: [model] max_queue_size: '0' is no whole number from 1 to 1000000");
	bad("[model]\nrun_timeout_ms = 1s\n",
		"2: [model] run_timeout_ms: '1s' is no whole number from 1 to 86400000");
	bad("[model]\nmax_queue_delay_us = -1\n",
		"2: [model] max_queue_delay_us: '-1' is no whole number from 0 to 10000000");
}

Test(model_conf, yes_and_no)
{
	m.stateful = true;
	cr_expect_eq(read_text("[model]\nstateful = no\n"), 0);
	cr_expect_not(m.stateful);
	bad("[model]\nstateful = perhaps\n", "2: [model] stateful: is neither yes nor no");
}

Test(model_conf, devices)
{
	static const char *const wrong[] = {",", "cpu:0,", "cpu:0,,cpu:1", ""};
	char data[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(data, sizeof(data), "[model]\ndevices = %s\n", wrong[i]);
		bad(data, "2: [model] devices: needs names of devices separated by commas, none "
			  "empty");
	}
}

Test(model_conf, instances_of_devices)
{
	cr_assert_eq(
		read_text("[model]\ndevices = cuda:0  x2 ,cpu:0\t x1024, cpu:1\n"), 0, "%s", text);
	cr_expect_str_eq(m.devices, "cuda:0 x2,cpu:0 x1024,cpu:1");
	for (size_t i = 0; i < 6; i++) {
		static const char *const wrong[] = {"cpu:0 2", "cpu:0 x0", "cpu:0 x1025", "cpu:0 x",
			"cpu:0 x1 x1", "cpu:0 x00000001"};
		char data[64];

		snprintf(data, sizeof(data), "[model]\ndevices = %s\n", wrong[i]);
		bad(data, "2: [model] devices: behind a device only a number of instances may "
			  "stand, from x1 to x1024");
	}
	bad("[model]\nfallback = cpu:0 x2\n",
		"2: [model] fallback: behind a device nothing may stand");
}

Test(model_conf, priorities)
{
	cr_assert_eq(read_text("[model]\ngpu_priority = low\n"), 0, "%s", text);
	cr_expect_eq(m.gpu_priority, WIRE_PRIORITY_LOW);
	bad("[model]\ngpu_priority = 3\n", "2: [model] gpu_priority: is none of low, normal, high");
}

Test(model_conf, too_many_parameters)
{
	char data[2048] = "[parameters]\n";

	for (int i = 0; i < 65; i++)
		snprintf(data + strlen(data), sizeof(data) - strlen(data), "k%d = v\n", i);
	bad(data, "66: [parameters] k64: too many parameters: at most 64 are allowed");
}

Test(model_conf, warmups)
{
	cr_assert_eq(read_text("[warmup.a]\nbatch_size = 2\ninput = x FP32 [3] zero\n"
			       "input = y INT8 [] random\n[model]\nbackend = b\n[warmup.b]\n"
			       "input = z:0 BYTES [1] file:f\n"),
		0, "%s", text);
	cr_assert_eq(m.n_warmups, 2);
	cr_expect_eq(m.warmups[0].batch_size, 2);
	cr_assert_eq(m.warmups[0].n_inputs, 2);
	cr_expect_str_eq(m.warmups[1].name, "b");
	cr_expect_str_eq(m.warmups[1].inputs[0].name, "z:0");
	bad("[warmup.c]\ninput = x FP32 [3]\n", "2: [warmup.c] input: 'NAME DTYPE [DIMS] zero', "
						"'random' or 'file:PATH' is expected");
	bad("[warmup]\ncount = 1\n", "2: [warmup] count: unknown section");
}

Test(model_conf, all_that_is_wrong_is_named)
{
	char whole[sizeof(text)];

	cr_assert_eq(read_text("[model]\nstateful = perhaps\nbackend = b\nnosuch = "
			       "1\n[queue]\nlevels = 0\n"
			       "default_level = 9\n[x]\n[model]\nmax_queue_size\nversion = 0\n"),
		MODEL_CONF_E_INVALID);
	snprintf(whole, sizeof(whole),
		"%s:2: [model] stateful: is neither yes nor no; %s:4: [model] nosuch: unknown key; "
		"%s:6: [queue] levels: a number from 1 to 32 is expected; "
		"%s:11: [model] version: 'latest', 'latest N', 'all' or numbers from 1 without "
		"leading zeros, separated by commas, are expected; "
		"%s:10: neither [section] nor key = value",
		file, file, file, file, file);
	cr_expect_str_eq(text, whole);
}

/* What has no room is left out whole. */
Test(model_conf, more_is_wrong_than_can_be_said)
{
	char data[2048] = "[model]\n";
	size_t n;

	for (int i = 0; i < 100; i++)
		snprintf(data + strlen(data), sizeof(data) - strlen(data), "k%d = v\n", i);
	cr_assert_eq(read_text(data), MODEL_CONF_E_INVALID);
	n = strlen(text);
	cr_expect_lt(n, sizeof(text));
	cr_expect_gt(n, sizeof(text) / 2);
	cr_expect_str_eq(text + n - strlen(": unknown key"), ": unknown key");
}

static int life(void *arg)
{
	struct model_conf s = {0};
	int r = model_conf_read(file, &s, text, sizeof(text));

	cr_assert(r <= 0);
	model_conf_release(&s);
	return r;
}

Test(model_conf, every_failure_leaves_nothing_behind)
{
	cr_assert_eq(read_text("[model]\nbackend = b\ndevices = cpu:0\n[parameters]\na = 1\nb = 2\n"
			       "[warmup.w]\ninput = x FP32 [3] file:f\n"),
		0);
	FAULT_LOOP_KINDS(life, NULL, FAIL_ALLOCATIONS);
}
